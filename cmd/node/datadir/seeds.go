package datadir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"rookery"
)

// Seed is where a node was last known to be, and the hash of its public key,
// without which it is not believed to be that node.
type Seed struct {
	Node    rookery.NodeID `json:"node" cbor:"1,keyasint"`
	Address string         `json:"address" cbor:"2,keyasint"`
	Key     []byte         `json:"key" cbor:"3,keyasint"`
}

// KeyHash is the key in its proper size. A seed without a whole key is of
// nobody: no public key has the hash of zeros.
func (s Seed) KeyHash() (key [32]byte) {
	copy(key[:], s.Key)
	return key
}

// Seeds are the nodes to look for the cluster at.
func (d Dir) Seeds() ([]Seed, error) {
	b, err := os.ReadFile(d.path(seedsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var seeds []Seed
	if err == nil {
		err = json.Unmarshal(b, &seeds)
	}
	if err != nil {
		return nil, rookery.E("read seeds", rookery.KindDamaged,
			fmt.Errorf("%w; remove %s: the node finds others through the cluster's state", err, seedsFile))
	}
	return seeds, nil
}

// SaveSeeds replaces them.
func (d Dir) SaveSeeds(seeds []Seed) error {
	if err := d.writeJSON(seedsFile, seeds); err != nil {
		return rookery.E("write seeds", rookery.KindUnavailable, err)
	}
	return nil
}
