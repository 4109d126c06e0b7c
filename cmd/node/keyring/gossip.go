package keyring

import (
	"crypto/hkdf"
	"crypto/sha256"

	"rookery"
	"rookery/storage/keys"
)

// GossipKeys are those that gossip reads: one of every version of the settings
// key in the ring, that of the version in use first, which encrypts.
func GossipKeys(ring *keys.Keyring) ([][]byte, error) { return derived(ring, "rookery gossip") }

// SRSKeys are those of rewritten senders, which rotate with the settings key: the
// first signs, all verify.
func SRSKeys(ring *keys.Keyring) ([][]byte, error) { return derived(ring, "rookery srs") }

func derived(ring *keys.Keyring, info string) (keys [][]byte, err error) {
	use := ring.Current()
	for _, v := range ring.Versions() {
		k, ok := ring.Tenant(v)
		if !ok {
			continue // dropped meanwhile
		}
		key, err := hkdf.Key(sha256.New, k.Secret(), nil, info, 32)
		k.Clear()
		if err != nil {
			return nil, rookery.E("derive a key", rookery.KindInvalid, err)
		}
		if keys = append(keys, key); v == use {
			keys[0], keys[len(keys)-1] = key, keys[0]
		}
	}
	return keys, nil
}
