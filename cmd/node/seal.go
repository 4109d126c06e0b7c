package node

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"rookery"
)

// sealer keeps the secrets of the settings closed in the log, the state and
// backups: AES-256-GCM under a key of its own, kept beside the tenant key.
type sealer struct{ aead cipher.AEAD }

const sealedPrefix = "sealed:"

// openSealer reads the settings key, without which the secrets of the settings
// cannot be opened.
func openSealer(path string) (*sealer, error) {
	const op = "open settings key"
	key, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, rookery.E(op, rookery.KindDamaged,
			fmt.Errorf("%s is missing, and the secrets of the settings cannot be opened without it; bring it back from the recovery kit (rookery key restore)", path))
	}
	if err != nil {
		return nil, rookery.E(op, rookery.KindUnavailable, err)
	}
	if len(key) != 32 {
		return nil, rookery.E(op, rookery.KindDamaged, fmt.Errorf("%s has %d bytes, not 32; bring it back from the recovery kit", path, len(key)))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, rookery.E(op, rookery.KindDamaged, err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, rookery.E(op, rookery.KindDamaged, err)
	}
	return &sealer{aead}, nil
}

// seal closes a secret; the settings key binds it to its place.
func (s *sealer) seal(key, secret string) string {
	nonce := make([]byte, s.aead.NonceSize())
	rand.Read(nonce)
	return sealedPrefix + base64.RawStdEncoding.EncodeToString(s.aead.Seal(nonce, nonce, []byte(secret), []byte(key)))
}

func (s *sealer) open(key, sealed string) (string, error) {
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimPrefix(sealed, sealedPrefix))
	if err != nil || len(b) < s.aead.NonceSize() || !strings.HasPrefix(sealed, sealedPrefix) {
		return "", rookery.E("open secret", rookery.KindDamaged, fmt.Errorf("%s is not a sealed secret; set it again", key))
	}
	n := s.aead.NonceSize()
	clear, err := s.aead.Open(nil, b[:n], b[n:], []byte(key))
	if err != nil {
		return "", rookery.E("open secret", rookery.KindDamaged, fmt.Errorf("%s was sealed under another key; set it again", key))
	}
	return string(clear), nil
}
