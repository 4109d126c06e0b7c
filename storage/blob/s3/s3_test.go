package s3

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"rookery"
	"rookery/storage/blob"
	"rookery/storage/blob/blobtest"
)

var testCredentials = Credentials{AccessKey: "testuser", SecretKey: "secretsecret"}

// server opens a store on the S3 server the environment names.
func server(t *testing.T) *Store { return serverAt(t, "ROOKERY_TEST_S3") }

func serverAt(t *testing.T, name string) *Store {
	endpoint := os.Getenv(name)
	if endpoint == "" {
		t.Skipf("%s is not set: no S3 server to test against (see test/s3server)", name)
	}
	s, err := Open(Config{Endpoint: endpoint, Bucket: "rookery-test", Prefix: "p" + strings.ToLower(rand.Text()[:8]),
		Addressing: "path", Credentials: testCredentials, CAFile: os.Getenv("ROOKERY_TEST_S3_CA")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.MakeBucket(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	s := server(t)
	blobtest.Run(t, func(*testing.T) blob.Store { return s })
}

// A bucket made for object lock keeps versions as well. The rest of the suite
// does not run on it: versitygw then says NoSuchKey of an object that is put
// again after a Delete.
func TestConformanceWithVersions(t *testing.T) {
	s := server(t)
	s.cfg.Bucket = "rookery-lock"
	err := s.core.MakeBucket(t.Context(), s.cfg.Bucket, minio.MakeBucketOptions{Region: s.cfg.Region, ObjectLocking: true})
	if code := minio.ToErrorResponse(err).Code; err != nil && code != "BucketAlreadyOwnedByYou" {
		t.Fatal(err)
	}
	blobtest.RunOptional(t, func(*testing.T) blob.Store { return s })
}

// Over TLS uploads are not signed octet by octet: another road through the
// client and the server.
func TestConformanceOverTLS(t *testing.T) {
	s := serverAt(t, "ROOKERY_TEST_S3_TLS")
	if _, err := s.Probe(t.Context()); err != nil {
		t.Error(err)
	}
	blobtest.Run(t, func(*testing.T) blob.Store { return s })
}

func TestConformanceWithSingleDeletes(t *testing.T) {
	s := server(t)
	s.singleDeletes.Store(true)
	blobtest.Run(t, func(*testing.T) blob.Store { return s })
}

func TestProbe(t *testing.T) {
	s := server(t)
	a, err := s.Probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", a)
	if !a.ConditionalPut || !a.MultiDelete || !a.Multipart {
		t.Errorf("the test server can put conditionally and delete many: %+v", a)
	}
	if err := s.List(t.Context(), "", func(i blob.Info) error { t.Errorf("%s is left", i.Key); return nil }); err != nil {
		t.Error(err)
	}
}

func TestServerErrors(t *testing.T) {
	s := server(t)
	wrong := s.cfg
	wrong.Credentials.SecretKey = "not-the-secret"
	denied, err := Open(wrong, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = denied.Get(t.Context(), "x", 0, -1)
	if !rookery.Is(err, rookery.KindDenied) || !strings.Contains(err.Error(), "check the secret key") {
		t.Errorf("wrong secret: %v", err)
	}
	if strings.Contains(fmt.Sprint(err), "not-the-secret") {
		t.Error("the secret is in the error")
	}
	wrong = s.cfg
	wrong.Bucket = "no-such-bucket-here"
	lost, err := Open(wrong, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = lost.Get(t.Context(), "x", 0, -1)
	if !rookery.Is(err, rookery.KindUnavailable) || !strings.Contains(err.Error(), "NoSuchBucket") {
		t.Errorf("no bucket: %v", err)
	}
	t.Log(err)
}

// fake opens a store on a server that answers as told, slowly perhaps on a busy
// machine.
func fake(t *testing.T, h http.HandlerFunc) *Store { return fakeWithin(t, 2*time.Minute, h) }

// fakeWithin is fake with a bound on silences.
func fakeWithin(t *testing.T, silence time.Duration, h http.HandlerFunc) *Store {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	s, err := Open(Config{Endpoint: srv.URL, Bucket: "bucket", Addressing: "path", Credentials: testCredentials,
		ResponseTimeout: silence, StallTimeout: silence, RetryPause: 2 * time.Millisecond}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func answer(w http.ResponseWriter, status int, code string) {
	w.Header().Set("x-amz-request-id", "REQ1")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>because</Message><RequestId>REQ1</RequestId></Error>", code)
}

func TestKindsAndAttempts(t *testing.T) {
	for _, c := range []struct {
		status   int
		code     string
		kind     rookery.Kind
		attempts int
	}{
		{404, "NoSuchKey", rookery.KindNotFound, 1}, {404, "NoSuchBucket", rookery.KindUnavailable, 1},
		{403, "AccessDenied", rookery.KindDenied, 1}, {403, "SignatureDoesNotMatch", rookery.KindDenied, 1},
		{403, "RequestTimeTooSkewed", rookery.KindUnavailable, 1}, {400, "ExpiredToken", rookery.KindDenied, 1},
		{500, "InternalError", rookery.KindUnavailable, 4}, {503, "SlowDown", rookery.KindUnavailable, 4},
		{429, "TooManyRequests", rookery.KindUnavailable, 4}, {400, "RequestTimeout", rookery.KindUnavailable, 4},
		{409, "OperationAborted", rookery.KindUnavailable, 4}, {501, "NotImplemented", rookery.KindUnavailable, 1},
		{400, "SomethingNew", rookery.KindUnavailable, 1}, {412, "PreconditionFailed", rookery.KindExists, 1},
	} {
		n := 0
		s := fake(t, func(w http.ResponseWriter, r *http.Request) { n++; answer(w, c.status, c.code) })
		check := func(what string, err error) {
			t.Helper()
			if !rookery.Is(err, c.kind) || n != c.attempts {
				t.Errorf("%s, %d %s: %v in %d attempts, want %v in %d", what, c.status, c.code, err, n, c.kind, c.attempts)
			}
			if text := fmt.Sprint(err); !strings.Contains(text, "REQ1") || !strings.Contains(text, c.code) {
				t.Errorf("%s: %q lacks the request id or code", what, text)
			}
			n = 0
		}
		_, err := s.Get(t.Context(), "x", 0, 10)
		check("Get", err)
		check("Put", s.Put(t.Context(), "x", bytes.NewReader([]byte("abc")), 3, blob.PutOptions{}))
		// What cannot be rewound, or would meet itself, is sent once.
		c.attempts = 1
		check("Put of a stream", s.Put(t.Context(), "x", io.MultiReader(strings.NewReader("abc")), 3, blob.PutOptions{}))
		check("Put if absent", s.Put(t.Context(), "x", strings.NewReader("abc"), 3, blob.PutOptions{IfAbsent: true}))
	}
}

func TestRecoversFromPassingFaults(t *testing.T) {
	n := 0
	s := fake(t, func(w http.ResponseWriter, r *http.Request) {
		if n++; n < 3 {
			answer(w, 503, "SlowDown")
			return
		}
		if b, _ := io.ReadAll(r.Body); r.Method == "PUT" && !bytes.Contains(b, []byte("content")) {
			t.Errorf("attempt %d sends %q", n, b)
		}
		w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
		w.Header().Set("ETag", `"x"`)
	})
	src := strings.NewReader("skipped content")
	src.Seek(8, io.SeekStart)
	if err := s.Put(t.Context(), "x", src, 7, blob.PutOptions{}); err != nil || n != 3 {
		t.Errorf("Put: %v after %d", err, n)
	}
}

func TestSilentServer(t *testing.T) {
	stop := make(chan struct{})
	s := fakeWithin(t, 200*time.Millisecond, func(w http.ResponseWriter, r *http.Request) { <-stop })
	t.Cleanup(func() { close(stop) }) // before the server closes
	s.cfg.Attempts = 2
	start := time.Now()
	_, err := s.Get(t.Context(), "x", 0, 10)
	if !rookery.Is(err, rookery.KindUnavailable) || time.Since(start) > time.Minute {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}

func object(w http.ResponseWriter, size string) {
	w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
	w.Header().Set("ETag", `"x"`)
	if size != "" {
		w.Header().Set("Content-Length", size)
	}
}

func TestBodyThatStallsOrBreaks(t *testing.T) {
	stop := make(chan struct{})
	for name, end := range map[string]func(){"stalls": func() { <-stop }, "breaks": func() { panic(http.ErrAbortHandler) }} {
		s := fakeWithin(t, 2*time.Second, func(w http.ResponseWriter, r *http.Request) {
			object(w, "10")
			w.Write([]byte("01234"))
			w.(http.Flusher).Flush()
			end()
		})
		if name == "stalls" {
			t.Cleanup(func() { close(stop) })
		}
		r, err := s.Get(t.Context(), "x", 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		r.Close()
		if string(got) != "01234" || !rookery.Is(err, rookery.KindUnavailable) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestStoreThatIgnoresRanges(t *testing.T) {
	s := fake(t, func(w http.ResponseWriter, r *http.Request) {
		object(w, "10")
		w.Write([]byte("0123456789"))
	})
	if r, err := s.Get(t.Context(), "x", 5, 5); err == nil {
		r.Close()
		t.Error("the first bytes were taken for the last")
	}
}

func TestMultiDeleteFallsBack(t *testing.T) {
	var multi, single int
	done := make(chan struct{}, 100)
	s := fake(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			multi++
			answer(w, 501, "NotImplemented")
			return
		}
		done <- struct{}{}
		w.WriteHeader(204)
	})
	for range 2 {
		if err := s.Delete(t.Context(), "a/1", "a/2", "a/3"); err != nil {
			t.Fatal(err)
		}
	}
	if single = len(done); multi != 1 || single != 6 {
		t.Errorf("%d multi and %d single deletes, want 1 and 6", multi, single)
	}
}

func TestUnansweredKeysAreDeletedSingly(t *testing.T) {
	var single []string
	s := fake(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			fmt.Fprint(w, "<DeleteResult><Deleted><Key>a/1</Key></Deleted><Deleted><Key>a/3</Key></Deleted></DeleteResult>")
			return
		}
		single = append(single, r.URL.Path)
		w.WriteHeader(204)
	})
	if err := s.Delete(t.Context(), "a/1", "a/2", "a/3"); err != nil {
		t.Fatal(err)
	}
	if len(single) != 1 || single[0] != "/bucket/a/2" {
		t.Errorf("single deletes: %v", single)
	}
}

func TestOpenRefusesBadSettings(t *testing.T) {
	good := Config{Endpoint: "https://s3.example.com", Bucket: "b2b", Credentials: testCredentials}
	for name, change := range map[string]func(*Config){
		"endpoint":    func(c *Config) { c.Endpoint = "s3.example.com" },
		"not shown":   func(c *Config) { c.Endpoint = "https://user:pass@s3.example.com" },
		"bucket":      func(c *Config) { c.Bucket = "" },
		"prefix":      func(c *Config) { c.Prefix = "../x" },
		"addressing":  func(c *Config) { c.Addressing = "odd" },
		"ca_file":     func(c *Config) { c.CAFile = "/does/not/exist" },
		"credentials": func(c *Config) { c.Credentials = Credentials{} },
	} {
		cfg := good
		change(&cfg)
		_, err := Open(cfg, nil)
		if !rookery.Is(err, rookery.KindInvalid) || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "pass@") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Open(good, nil); err != nil {
		t.Error(err)
	}
}

func TestCredentialsAreNotShown(t *testing.T) {
	c := Credentials{AccessKey: "AK", SecretKey: "SK=/+"}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "credentials", c, "pointer", &c)
	if out := fmt.Sprintf("%v %+v %#v %s", c, c, c, log.String()); strings.Contains(out, "SK=") {
		t.Errorf("the secret is shown: %s", out)
	}
}
