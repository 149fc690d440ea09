package smcrypto

import (
	"bytes"
	"encoding/hex"
	"fmt"
)

// SelfTest runs known-answer tests of every algorithm on p and a fresh sign,
// verify, encrypt, decrypt round trip. It takes a few milliseconds. Run it for each
// provider at start-up and refuse to start on an error (ErrSelfTest).
func SelfTest(p Provider) error {
	for _, test := range []struct {
		name string
		run  func(Provider) error
	}{
		{"SM3", testSM3}, {"HMAC-SM3", testHMAC}, {"SM4", testSM4}, {"SM4-GCM", testGCM},
		{"SM2 known signature", testKnownSignature}, {"SM2 known ciphertext", testKnownCiphertext},
		{"SM2 round trip", testRoundTrip},
	} {
		if err := guard(test.name, func() error { return test.run(p) }); err != nil {
			return fmt.Errorf("%w: provider %s, %s: %w", ErrSelfTest, p.Name(), test.name, err)
		}
	}
	return nil
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic("smcrypto: bad constant")
	}
	return b
}

func expect(got []byte, want string) error {
	if !bytes.Equal(got, unhex(want)) {
		return fmt.Errorf("wrong answer")
	}
	return nil
}

// testSM3: GB/T 32905-2016, A.1.
func testSM3(p Provider) error {
	sum := p.SM3([]byte("abc"))
	return expect(sum[:], "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0")
}

// testHMAC: HMAC-SM3 with the 20-byte 0x0b key and "Hi There" (the inputs of RFC 4231, 4.2).
func testHMAC(p Provider) error {
	mac := HMAC(p, bytes.Repeat([]byte{0x0b}, 20), []byte("Hi There"))
	return expect(mac[:], kaHMAC)
}

// testSM4: GB/T 32907-2016, A.1.
func testSM4(p Provider) error {
	key := unhex("0123456789abcdeffedcba9876543210")
	block, err := p.NewSM4(Key(key))
	if err != nil {
		return err
	}
	out := make([]byte, 16)
	block.Encrypt(out, key)
	if err := expect(out, "681edf34d206965e86b3e94f536e4246"); err != nil {
		return err
	}
	block.Decrypt(out, out)
	return expect(out, "0123456789abcdeffedcba9876543210")
}

// testGCM: RFC 8998, A.1; a changed tag must be refused.
func testGCM(p Provider) error {
	aead, err := p.NewGCM(Key(unhex("0123456789abcdeffedcba9876543210")))
	if err != nil {
		return err
	}
	nonce, aad := unhex("00001234567800000000abcd"), unhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
	plain := unhex("aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd" +
		"eeeeeeeeeeeeeeeeffffffffffffffffeeeeeeeeeeeeeeeeaaaaaaaaaaaaaaaa")
	sealed := aead.Seal(nil, nonce, plain, aad)
	if err := expect(sealed, "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735"+
		"d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d"+
		"83de3541e4c2b58177e065a9bf7b62ec"); err != nil {
		return err
	}
	sealed[len(sealed)-1] ^= 1
	if _, err := aead.Open(nil, nonce, sealed, aad); err == nil {
		return fmt.Errorf("a changed tag was accepted")
	}
	return nil
}

// Key pair and signature of GB/T 32918.5-2017, A.2 (message "message digest", default user id).
const (
	kaPrivate = "3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8"
	kaPublic  = "0409f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020" +
		"ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
	kaR = "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3"
	kaS = "b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa"
	// Ciphertext of GB/T 32918.5-2017, A.3 ("encryption standard"), order C1C3C2.
	kaCipher = "0404ebfc718e8d1798620432268e77feb6415e2ede0e073c0f4f640ecd2e149a73" +
		"e858f9d81e5430a57b36daab8f950a3c64e6ee6a63094d99283aff767e124df0" +
		"59983c18f809e262923c53aec295d30383b54e39d609d160afcb1908d0bd8766" +
		"21886ca989ca9c7d58087307ca93092d651efa"
	kaHMAC = "51b00d1fb49832bfb01c3ce27848e59f871d9ba938dc563b338ca964755cce70"
)

func kaKey() (*PrivateKey, error) {
	key, err := NewPrivateKey(unhex(kaPrivate))
	if err != nil {
		return nil, err
	}
	return key, expect(key.pub.point[:], kaPublic)
}

func testKnownSignature(p Provider) error {
	key, err := kaKey()
	if err != nil {
		return err
	}
	der := unhex("3046022100" + kaR + "022100" + kaS)
	if err := p.Verify(key.Public(), []byte("message digest"), der); err != nil {
		return err
	}
	if p.Verify(key.Public(), []byte("message digesu"), der) == nil {
		return fmt.Errorf("a signature over another message was accepted")
	}
	return nil
}

func testKnownCiphertext(p Provider) error {
	key, err := kaKey()
	if err != nil {
		return err
	}
	plain, err := p.Decrypt(key, unhex(kaCipher))
	if err != nil {
		return err
	}
	if string(plain) != "encryption standard" {
		return fmt.Errorf("wrong plaintext")
	}
	return nil
}

func testRoundTrip(p Provider) error {
	key, err := p.GenerateKey()
	if err != nil {
		return err
	}
	msg := []byte("emrbridge self test")
	sig, err := p.Sign(key, msg)
	if err != nil {
		return err
	}
	if err := p.Verify(key.Public(), msg, sig); err != nil {
		return err
	}
	ct, err := p.Encrypt(key.Public(), msg)
	if err != nil {
		return err
	}
	plain, err := p.Decrypt(key, ct)
	if err != nil {
		return err
	}
	if !bytes.Equal(plain, msg) {
		return fmt.Errorf("wrong plaintext")
	}
	return nil
}
