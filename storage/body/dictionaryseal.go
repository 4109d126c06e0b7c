package body

import (
	"encoding/binary"
	"errors"
	"fmt"

	"rookery"
)

// A dictionary holds pieces of mail, so it is stored under the tenant key only:
//
//	format (1) | tenant key version uvarint | nonce | sealed content
const dictionaryFormat = 1

func dictionaryAAD(id rookery.DictionaryID, version uint32) []byte {
	aad := binary.BigEndian.AppendUint32([]byte("rookery dictionary\x00"), uint32(id))
	return binary.BigEndian.AppendUint32(aad, version)
}

// dictionaryKey is not the key that wraps account keys.
func dictionaryKey(tenant [32]byte) [32]byte { return derive(tenant[:], "rookery dictionary") }

// SealDictionary encrypts a dictionary, in zstd's format, under the current
// tenant key. Only this form may be stored, replicated or sent.
func (k *Keyring) SealDictionary(b []byte) ([]byte, error) {
	d, err := NewDictionary(b)
	if err != nil {
		return nil, err
	}
	version := k.Current()
	tenant, ok := k.key(version)
	if !ok {
		return nil, rookery.E("seal dictionary", rookery.KindUnavailable, errors.New("the keyring is empty: generate or load it first"))
	}
	out := binary.AppendUvarint([]byte{dictionaryFormat}, uint64(version))
	return sealRandom(newGCM(dictionaryKey(tenant)), out, b, dictionaryAAD(d.ID(), version)), nil
}

// DictionaryKey is the tenant key version that a sealed dictionary opens with:
// it must not be destroyed before ResealDictionary. KindDamaged if it is not of
// a known format.
func DictionaryKey(sealed []byte) (version uint32, err error) {
	version, _, err = dictionaryHead(sealed)
	return version, err
}

func dictionaryHead(sealed []byte) (version uint32, rest []byte, err error) {
	if len(sealed) > 0 && sealed[0] == dictionaryFormat {
		if v, n := binary.Uvarint(sealed[1:]); n > 0 && v <= 1<<32-1 {
			return uint32(v), sealed[1+n:], nil
		}
	}
	return 0, nil, rookery.E("open dictionary", rookery.KindDamaged, errors.New("the sealed dictionary is not of a known format"))
}

func (k *Keyring) unsealDictionary(id rookery.DictionaryID, sealed []byte) ([]byte, error) {
	const op = "open dictionary"
	version, rest, err := dictionaryHead(sealed)
	if err != nil {
		return nil, err
	}
	tenant, ok := k.key(version)
	if !ok {
		return nil, rookery.E(op, rookery.KindUnavailable, fmt.Errorf("dictionary %d is sealed under tenant key version %d, which is not in the keyring", id, version))
	}
	b, ok := openRandom(newGCM(dictionaryKey(tenant)), rest, dictionaryAAD(id, version))
	if !ok {
		return nil, rookery.E(op, rookery.KindDamaged, fmt.Errorf("dictionary %d does not open with tenant key version %d", id, version))
	}
	return b, nil
}

// OpenDictionary is the inverse of SealDictionary. KindUnavailable when its
// tenant key is not in this ring, KindDamaged when it does not open.
func (k *Keyring) OpenDictionary(id rookery.DictionaryID, sealed []byte) (*Dictionary, error) {
	b, err := k.unsealDictionary(id, sealed)
	if err != nil {
		return nil, err
	}
	d, err := NewDictionary(b)
	if err == nil && d.ID() != id {
		err = rookery.E("open dictionary", rookery.KindDamaged, fmt.Errorf("dictionary %d calls itself %d", id, d.ID()))
	}
	return d, err
}

// ResealDictionary seals a dictionary anew, under the current tenant key.
func (k *Keyring) ResealDictionary(id rookery.DictionaryID, sealed []byte) ([]byte, error) {
	b, err := k.unsealDictionary(id, sealed)
	if err != nil {
		return nil, err
	}
	return k.SealDictionary(b)
}
