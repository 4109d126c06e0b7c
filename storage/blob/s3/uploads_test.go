package s3

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"rookery/storage/blob"
)

// Uploads that nobody completed are told of and aborted, those below the prefix
// that was asked for and of this store alone.
func TestUploads(t *testing.T) {
	s := server(t)
	var uploads blob.Uploads = s
	begun := time.Now()
	for _, name := range []string{s.name("b/00/2/one.pk"), s.name("b/00/2/two.pk"), s.name("b/00/2/two.pk"), s.name("other/x"),
		"elsewhere/b/00/2/one.pk"} {
		id, err := s.core.NewMultipartUpload(t.Context(), s.cfg.Bucket, name, minio.PutObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.core.AbortMultipartUpload(context.Background(), s.cfg.Bucket, name, id) })
	}
	list := func() (keys []string, all []blob.Upload) {
		t.Helper()
		if err := uploads.Uploads(t.Context(), "b/", func(u blob.Upload) error {
			keys, all = append(keys, u.Key), append(all, u)
			if d := u.Begun.Sub(begun); d < -time.Minute || d > time.Minute {
				t.Errorf("%s was begun at %v", u.Key, u.Begun)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		slices.Sort(keys)
		return keys, all
	}
	keys, all := list()
	if want := []string{"b/00/2/one.pk", "b/00/2/two.pk", "b/00/2/two.pk"}; !slices.Equal(keys, want) {
		t.Fatalf("%v, want %v", keys, want)
	}
	for _, u := range all {
		for range 2 { // one that is gone is no error
			if err := uploads.Abort(t.Context(), u); err != nil {
				t.Error(err)
			}
		}
	}
	if keys, _ := list(); len(keys) != 0 {
		t.Errorf("%v are left", keys)
	}
}
