package datadir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"rookery"
	"rookery/internal/durable"
)

// Moment is how far a data directory has come: the epoch of a start, and how
// often that start has moved it on. By it the others know an older copy of the
// directory, which has forgotten how it voted.
type Moment struct {
	Epoch uint64 `json:"epoch" cbor:"1,keyasint"`
	Age   uint64 `json:"age" cbor:"2,keyasint"`
}

// Before reports whether m is earlier than o.
func (m Moment) Before(o Moment) bool {
	return m.Epoch < o.Epoch || m.Epoch == o.Epoch && m.Age < o.Age
}

// Moment reads how far the directory had come; zero where an older version
// alone has run in it.
func (d Dir) Moment() (m Moment, err error) {
	path := d.path(momentFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		return m, rookery.E("read lineage", rookery.KindDamaged, fmt.Errorf("%s cannot be read: %w", path, err))
	}
	return m, nil
}

// SaveMoment moves the directory on.
func (d Dir) SaveMoment(m Moment) error {
	b, err := json.Marshal(m)
	if err == nil {
		err = durable.WriteFile(d.path(momentFile), append(b, '\n'), 0o600)
	}
	return err
}

// Supersede keeps the directory from being started again, also where nobody
// else can be asked: a node says that this one has run on a later state of it,
// last, than was found here, found. It gives the error to end with.
func (d Dir) Supersede(by rookery.NodeID, found, last Moment) error {
	text := fmt.Sprintf("node %s says that this node has run on a later state of %s (%d.%d) than it was found in (%d.%d): it is an "+
		"older copy, or a second one that runs",
		by, d, last.Epoch, last.Age, found.Epoch, found.Age)
	if err := durable.WriteFile(d.path(supersededFile), []byte(text+"\n"), 0o600); err != nil {
		text += fmt.Sprintf("; that could not be noted in it (%v)", err)
	}
	return d.superseded(text)
}

func (d Dir) superseded(text string) error {
	return rookery.E("serve", rookery.KindDamaged,
		fmt.Errorf("%s. It would vote twice and has forgotten what it acknowledged. Start the newest copy if there is one; else run "+
			"rookery remove for this node elsewhere, remove %s, and join as a new node", text, d))
}

func (d Dir) refuseSuperseded() error {
	b, err := os.ReadFile(d.path(supersededFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return rookery.E("open node", rookery.KindUnavailable, err)
	}
	return d.superseded(string(b[:max(len(b)-1, 0)]))
}
