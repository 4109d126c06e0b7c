package node

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"rookery"
	"rookery/storage/system"
)

// KeepIDs gives directories that were written without an id the one that
// their name had before.
func (s *Settings) KeepIDs(old *Settings) {
	taken := map[string]bool{"": true}
	for _, d := range s.Directories {
		taken[d.ID] = true
	}
	for name, d := range s.Directories {
		if was := old.Directories[name].ID; d.ID == "" && !taken[was] {
			d.ID = was
			s.Directories[name] = d
		}
	}
}

// makeIDs gives new directories an id.
func (s *Settings) makeIDs() {
	for name, d := range s.Directories {
		if d.ID == "" {
			var b [8]byte
			rand.Read(b[:])
			d.ID = hex.EncodeToString(b[:])
			s.Directories[name] = d
		}
	}
}

// refuseOrphans keeps settings from losing a directory that has accounts:
// their owners would get empty ones. Those named in orphan may go.
func (s *settingsStore) refuseOrphans(old, next *Settings, orphan []string) error {
	stays := map[string]bool{}
	for _, d := range next.Directories {
		stays[d.ID] = true
	}
	for _, name := range old.directoryNames() {
		id := old.Directories[name].ID
		if stays[id] || slices.Contains(orphan, name) {
			continue
		}
		count, err := accountsFrom(s.system, id)
		if err != nil {
			return err
		}
		if count > 0 {
			return rookery.E("change settings", rookery.KindDenied, fmt.Errorf(
				"directories.%s: it is left out and %d accounts are from it; to give it another name, write id = %q below the new name; to leave them without an owner: rookery config apply -orphan %s FILE",
				name, count, id, name))
		}
	}
	return nil
}

// accountsFrom counts the accounts from a directory.
func accountsFrom(m *system.Machine, directory string) (count int, err error) {
	var after rookery.AccountID
	for {
		page, err := m.Accounts(after, maxAccounts)
		if err != nil || len(page) == 0 {
			return count, err
		}
		for _, p := range page {
			if strings.HasPrefix(p.DirectoryKey, directory+"/") {
				count++
			}
		}
		after = page[len(page)-1].Account
	}
}
