package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"rookery"
	"rookery/cmd/node/settings"
	"rookery/directory/ldap"
	"rookery/storage/blob"
	"rookery/storage/blob/s3"
)

// Greeting is what a directory tells of itself.
type Greeting = ldap.Greeting

// ReachDirectory tries the addresses and TLS of a directory of the settings.
func ReachDirectory(ctx context.Context, s *settings.Cluster, name string) (Greeting, error) {
	return ldap.Reach(ctx, ldapConfig(name, s))
}

// SignInToDirectory tries its service account too.
func SignInToDirectory(ctx context.Context, s *settings.Cluster, name string) (Greeting, error) {
	return ldap.SignIn(ctx, ldapConfig(name, s))
}

// SearchDirectory tries its base and profile too, and says what was found.
func SearchDirectory(ctx context.Context, s *settings.Cluster, name string) (found string, err error) {
	f, err := ldap.Sample(ctx, ldapConfig(name, s))
	if err != nil {
		return "", err
	}
	count := fmt.Sprint(f.Accounts)
	if f.More {
		count = "at least " + count
	}
	return fmt.Sprintf("%s accounts with an address, such as %s (profile %s)", count, f.Address, f.Profile), nil
}

// Untrusted reports whether an error is a certificate whose authority is not
// known: naming it in ca_file would mend that.
func Untrusted(err error) bool {
	return errors.As(err, new(*tls.CertificateVerificationError))
}

// ReachStore tries the address and TLS of an S3 service.
func ReachStore(ctx context.Context, s *settings.Store) error {
	return s3.Reach(ctx, s.Endpoint, s.CAFile)
}

// TryStore writes, reads, lists and deletes objects of its own in an object
// store. data is the directory that a relative path begins at.
func TryStore(ctx context.Context, s *settings.Store, data string) (found string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if s.Kind == "dir" {
		return tryPath(ctx, s, data)
	}
	store, err := openStore(s, data, slog.New(slog.DiscardHandler))
	if err != nil {
		return "", err
	}
	defer closeStore(store)
	able, err := store.(*s3.Store).Probe(ctx)
	if err != nil {
		return "", err
	}
	found = "writes, reads, lists and deletes; " + able.String()
	if len(able.Notes) > 0 {
		found += "; note: " + strings.Join(able.Notes, "; ")
	}
	return found, nil
}

// tryPath leaves no directory behind that was not there.
func tryPath(ctx context.Context, s *settings.Store, data string) (string, error) {
	path := storePath(s, data)
	defer removeMade(path)()
	store, err := openStore(s, data, slog.New(slog.DiscardHandler))
	if err == nil {
		err = errors.Join(tryStore(ctx, store), closeStore(store))
	}
	if err != nil {
		return "", rookery.E("try object store", rookery.KindOf(err), fmt.Errorf("%w; name a directory that the user who runs the node may write", err))
	}
	return path + " can be written", nil
}

// removeMade gives what removes the directories that a trial makes on the way
// to a path that is not there yet.
func removeMade(path string) func() {
	var made string
	for d := path; !exists(d) && d != filepath.Dir(d); d = filepath.Dir(d) {
		made = d
	}
	return func() {
		if made != "" {
			removeEmpty(made)
		}
	}
}

// removeEmpty removes a directory and those in it, but no file and nothing that
// leads to one: another process may have begun to use it.
func removeEmpty(name string) {
	entries, _ := os.ReadDir(name)
	for _, e := range entries {
		if e.IsDir() {
			removeEmpty(filepath.Join(name, e.Name()))
		}
	}
	os.Remove(name)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// tryStore writes, reads and deletes a small object.
func tryStore(ctx context.Context, s blob.Store) error {
	const text = "rookery was here"
	key := fmt.Sprintf("check/%d", time.Now().UnixNano())
	if err := s.Put(ctx, key, strings.NewReader(text), int64(len(text)), blob.PutOptions{}); err != nil {
		return err
	}
	r, err := s.Get(ctx, key, 0, int64(len(text)))
	if err != nil {
		return err
	}
	if err := r.Close(); err != nil {
		return err
	}
	return s.Delete(ctx, key)
}
