package leak_test

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
)

func md5Hex(s string) string    { d := md5.Sum([]byte(s)); return hex.EncodeToString(d[:]) }
func sha256Hex(s string) string { d := sha256.Sum256([]byte(s)); return hex.EncodeToString(d[:]) }
