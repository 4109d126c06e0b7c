package inforce

import (
	"fmt"
	"slices"
	"strings"

	"rookery"
	"rookery/cmd/node/settings"
	"rookery/storage/system"
)

// accountsPage bounds the accounts that are read at once.
const accountsPage = 1000

// refuseOrphans keeps settings from losing a directory that has accounts:
// their owners would get empty ones. Those named in orphan may go.
func (s *Settings) refuseOrphans(old, next *settings.Cluster, orphan []string) error {
	stays := map[string]bool{}
	for _, d := range next.Directories {
		stays[d.ID] = true
	}
	for _, name := range old.DirectoryNames() {
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
				"directories.%s: it is left out and %d accounts are from it; to give it another name, write id = %q below the new name; to "+
					"leave them without an owner: rookery config apply -orphan %s FILE, and then, where another directory has the people: "+
					"rookery account link ADDRESS",
				name, count, id, name))
		}
	}
	return nil
}

// accountsFrom counts the accounts from a directory.
func accountsFrom(m *system.Machine, directory string) (count int, err error) {
	var after rookery.AccountID
	for {
		page, err := m.Accounts(after, accountsPage)
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
