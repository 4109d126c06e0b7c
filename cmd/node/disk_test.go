package node

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A cut beside the recycling of a file, again and again: with the library's
// file system alone each waits for the other for ever.
func TestDiskIsCutBesideRecycling(t *testing.T) {
	d := newDisk(vfs.NewCrashableMem(), 0, nil)
	f, err := d.Create("file-0", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	const rounds = 20_000
	done := make(chan error, 1)
	go func() {
		for i := range rounds {
			f, err := d.ReuseForWrite(fmt.Sprint("file-", i), fmt.Sprint("file-", i+1), vfs.WriteCategoryUnspecified)
			if err == nil {
				err = f.Close()
			}
			if err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for dice := rand.New(rand.NewPCG(1, 2)); ; {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			return
		default:
			d.left(50, dice)
		}
	}
}
