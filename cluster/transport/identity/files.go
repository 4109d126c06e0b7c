package identity

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"rookery/internal/durable"
	"sync/atomic"

	"rookery"
)

// The files of an Identity in its directory.
const (
	AuthoritiesFile = "ca.pem"
	CertificateFile = "node.pem"
	KeyFile         = "node.key"
)

// LoadIdentity reads an identity's files. KindNotFound: there are none.
func LoadIdentity(dir string) (*Identity, error) {
	var data [3][]byte
	for i, name := range []string{CertificateFile, KeyFile, AuthoritiesFile} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			kind := rookery.KindUnavailable
			if errors.Is(err, fs.ErrNotExist) {
				kind = rookery.KindNotFound
			}
			return nil, rookery.E("read node identity", kind, err)
		}
		data[i] = b
	}
	id, err := NewIdentity(data[0], data[1], data[2])
	if err != nil {
		return nil, rookery.E("read node identity", 0, fmt.Errorf("in %s: %w", dir, err))
	}
	return id, nil
}

// Save writes the identity's files so that a crash leaves the old identity
// or the new one, where both have one key.
func (id *Identity) Save(dir string) error {
	err := os.MkdirAll(dir, 0o700)
	for _, f := range []struct {
		name string
		data []byte
		mode fs.FileMode
	}{{KeyFile, id.keyPEM, 0o600}, {AuthoritiesFile, id.caPEM, 0o644}, {CertificateFile, id.certPEM, 0o644}} {
		if err == nil {
			err = durable.WriteFile(filepath.Join(dir, f.name), f.data, f.mode)
		}
	}
	if err != nil {
		return rookery.E("write node identity", rookery.KindUnavailable, err)
	}
	return nil
}

// Credentials holds the identity in use. Every handshake asks for it, so a
// replaced one needs no restart.
type Credentials struct {
	current atomic.Pointer[Identity]
}

// NewCredentials holds id.
func NewCredentials(id *Identity) *Credentials {
	c := &Credentials{}
	c.current.Store(id)
	return c
}

// Current is the identity in use.
func (c *Credentials) Current() *Identity { return c.current.Load() }

// Replace changes the identity for all handshakes from now on. KindConflict:
// it is another node's. Connections that stand are not touched: see
// Transport.Recheck.
func (c *Credentials) Replace(id *Identity) error {
	if err := c.Current().sameNode(id); err != nil {
		return err
	}
	c.current.Store(id)
	return nil
}

// Reload reads the files again. What cannot be read changes nothing.
func (c *Credentials) Reload(dir string) (changed bool, err error) {
	id, err := LoadIdentity(dir)
	if err != nil {
		return false, err
	}
	old := c.Current()
	if bytes.Equal(id.certPEM, old.certPEM) && bytes.Equal(id.caPEM, old.caPEM) {
		return false, nil
	}
	return true, c.Replace(id)
}
