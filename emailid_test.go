package rookery

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"
)

// Ids of later milliseconds lie behind earlier ones, and no two are equal.
func TestNewEmailID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := map[EmailID]bool{}
		var last EmailID
		for range 1000 {
			id := NewEmailID()
			if seen[id] || bytes.Compare(id[:], last[:]) <= 0 {
				t.Fatalf("%x came after %x", id, last)
			}
			seen[id] = true
			seen[NewEmailID()] = true // of the same millisecond
			last = id
			time.Sleep(time.Millisecond)
		}
	})
}
