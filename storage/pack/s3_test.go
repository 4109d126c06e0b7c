package pack_test

import (
	"crypto/rand"
	"os"
	"strings"
	"testing"

	"rookery/storage/account/accounttest"
	"rookery/storage/blob"
	"rookery/storage/blob/s3"
	"rookery/storage/pack"
)

func TestPackerOnS3(t *testing.T) {
	endpoint := os.Getenv("ROOKERY_TEST_S3")
	if endpoint == "" {
		t.Skip("ROOKERY_TEST_S3 is not set: no S3 server to test against (see test/s3server)")
	}
	s, err := s3.Open(s3.Config{Endpoint: endpoint, Bucket: "rookery-test", Prefix: "k" + strings.ToLower(rand.Text()[:8]),
		Addressing: "path", CAFile: os.Getenv("ROOKERY_TEST_S3_CA"),
		Credentials: s3.Credentials{AccessKey: "testuser", SecretKey: "secretsecret"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.MakeBucket(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, accounttest.Options{})
	r.blobs.Store = s
	r.deliver(10, 20_000, 30_000, 5_000_000, 100)
	_, stop := r.start()
	r.untilPacked()
	stop()
	r.dropLog()
	r.check()
	for _, x := range r.objects() {
		if err := s.Delete(t.Context(), pack.Key(x.Group, x.ID)); err != nil {
			t.Error(err)
		}
	}
	if err := s.List(t.Context(), "", func(i blob.Info) error { t.Errorf("%s is left", i.Key); return nil }); err != nil {
		t.Error(err)
	}
}
