package keystore

import "errors"

// Errors of custody; test with errors.Is. No message carries key material or
// patient data.
var (
	// ErrClosed reports use after Close.
	ErrClosed = errors.New("keystore: closed")
	// ErrNoKey reports that no such key exists.
	ErrNoKey = errors.New("keystore: no such key")
	// ErrDestroyed reports that the key existed and was destroyed on purpose.
	ErrDestroyed = errors.New("keystore: key was destroyed")
	// ErrIdentity reports an identity that is incomplete or whose check digit is wrong.
	ErrIdentity = errors.New("keystore: invalid identity")
	// ErrPassphrase reports a passphrase that does not open the keystore.
	ErrPassphrase = errors.New("keystore: wrong passphrase, or the key file was altered")
	// ErrPermissions reports files that others can read, or that belong to another user.
	ErrPermissions = errors.New("keystore: unsafe permissions")
	// ErrLocked reports that another process has the keystore open.
	ErrLocked = errors.New("keystore: in use by another process")
	// ErrCorrupt reports a file or row that is altered, moved or cut.
	ErrCorrupt = errors.New("keystore: corrupt")
	// ErrExists reports that Create or Restore found a keystore in the way.
	ErrExists = errors.New("keystore: already exists")
	// ErrLimit reports an argument outside its bound.
	ErrLimit = errors.New("keystore: argument outside its limit")
)
