package bridge

import (
	"context"
	"fmt"

	"github.com/emrbridge/emrbridge/bridge/bus"
	"github.com/emrbridge/emrbridge/bridge/claims"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// dataKeys is the part of custody that keys for data at rest come from.
type dataKeys interface {
	DataKey(ctx context.Context, use keystore.DataUse, version uint32) (uint32, smcrypto.Key, error)
}

// Keys are the keys of bus and quarantine. None of them prints.
type Keys struct {
	// Bus seals bodies under the current key and opens those of earlier ones.
	Bus bus.Cipher
	// Quarantine does the same for refused input.
	Quarantine bus.Cipher
	// File encrypts the files of the embedded server, Route hashes routing hints. Both come
	// from the first key of the bus and outlive its rotation: the files could not be read and
	// the order of patients on the way would be lost otherwise.
	File, Route []byte
	// Guard keys the state that processes of the hospital share in Redis.
	Guard []byte
	// Claims seal large bodies on their way; they follow the keys of the bus.
	Claims claims.Keys
}

// String never shows keys.
func (Keys) String() string { return "[redacted]" }

// LoadKeys takes the keys from custody.
func LoadKeys(ctx context.Context, c dataKeys, p smcrypto.Provider) (Keys, error) {
	var k Keys
	var err error
	if k.Bus, err = cipherFor(ctx, c, p, keystore.UseBus); err != nil {
		return Keys{}, err
	}
	if k.Quarantine, err = cipherFor(ctx, c, p, keystore.UseQuarantine); err != nil {
		return Keys{}, err
	}
	if k.Claims, err = claimKeys(ctx, c, p); err != nil {
		return Keys{}, err
	}
	_, first, err := c.DataKey(ctx, keystore.UseBus, 1)
	if err != nil {
		return Keys{}, fmt.Errorf("bridge: first key of the bus: %w", err)
	}
	for info, to := range map[string]*[]byte{
		"emrbridge/bus-files/v1": &k.File, "emrbridge/bus-lanes/v1": &k.Route, "emrbridge/guard/v1": &k.Guard,
	} {
		if *to, err = smcrypto.HKDF(p, first[:], nil, info, 32); err != nil {
			return Keys{}, fmt.Errorf("bridge: %s: %w", info, err)
		}
	}
	return k, nil
}

// claimKeys derives a master key for claims from every key of the bus.
func claimKeys(ctx context.Context, c dataKeys, p smcrypto.Provider) (claims.Keys, error) {
	current, _, err := c.DataKey(ctx, keystore.UseBus, 0)
	if err != nil {
		return claims.Keys{}, fmt.Errorf("bridge: key for claims: %w", err)
	}
	k := claims.Keys{Current: current, Master: map[uint32]smcrypto.Key{}}
	for v := current; v >= 1; v-- {
		_, secret, err := c.DataKey(ctx, keystore.UseBus, v)
		if err != nil {
			return claims.Keys{}, fmt.Errorf("bridge: key %d for claims: %w", v, err)
		}
		b, err := smcrypto.HKDF(p, secret[:], nil, "emrbridge/claims/v1", smcrypto.KeySize)
		if err != nil {
			return claims.Keys{}, fmt.Errorf("bridge: key %d for claims: %w", v, err)
		}
		if k.Master[v], err = smcrypto.ParseKey(b); err != nil {
			return claims.Keys{}, fmt.Errorf("bridge: key %d for claims: %w", v, err)
		}
	}
	return k, nil
}

func cipherFor(ctx context.Context, c dataKeys, p smcrypto.Provider, use keystore.DataUse) (bus.Cipher, error) {
	version, current, err := c.DataKey(ctx, use, 0)
	if err != nil {
		return nil, fmt.Errorf("bridge: key for %s: %w", use, err)
	}
	var older []smcrypto.Key
	for v := version - 1; v >= 1; v-- {
		_, key, err := c.DataKey(ctx, use, v)
		if err != nil {
			return nil, fmt.Errorf("bridge: key %d for %s: %w", v, use, err)
		}
		older = append(older, key)
	}
	return bus.NewCipher(p, current, older...), nil
}
