package backups

import (
	"bytes"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"rookery/storage/blob"
	"rookery/storage/blob/dir"
)

// TestTheBackupKeepsToItsBandwidth: 12 MiB in and 12 out take as long as the setting says,
// none without one, and a changed one counts at once.
func TestTheBackupKeepsToItsBandwidth(t *testing.T) {
	inner, err := dir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		s := throttled{inner, newLimit()}
		object := make([]byte, 3<<20)
		took := func() time.Duration {
			began := time.Now()
			for range 4 {
				if err := s.Put(t.Context(), "a", bytes.NewReader(object), int64(len(object)), blob.PutOptions{}); err != nil {
					t.Fatal(err)
				}
				in, err := s.Get(t.Context(), "a", 0, int64(len(object)))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, in); err != nil {
					t.Fatal(err)
				}
				in.Close()
			}
			return time.Since(began).Round(time.Second)
		}
		if d := took(); d != 0 {
			t.Errorf("without a bound it took %v", d)
		}
		for perSecond, want := range map[int]time.Duration{2: 12 * time.Second, 8: 3 * time.Second} {
			mib(s.limit, perSecond)
			if d := took(); d < want-time.Second || d > want+time.Second {
				t.Errorf("with %d MiB a second 24 MiB took %v", perSecond, d)
			}
		}
		mib(s.limit, 0)
		if d := took(); d != 0 {
			t.Errorf("with the bound taken away it took %v", d)
		}
	})
}
