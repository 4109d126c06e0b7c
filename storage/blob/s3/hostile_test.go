package s3

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"rookery"
	"rookery/storage/blob"
)

// An answer without a length, as a proxy in between makes them, is refused in
// every way to read: once it ended the process.
func TestAnswersWithoutALength(t *testing.T) {
	s := fake(t, func(w http.ResponseWriter, r *http.Request) {
		object(w, "")
		for range 2 {
			io.WriteString(w, "01234")
			w.(http.Flusher).Flush()
		}
	})
	check := func(what string, err error) {
		t.Helper()
		if !rookery.Is(err, rookery.KindUnavailable) || !strings.Contains(fmt.Sprint(err), "how long") {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, n := range map[string]int64{"whole": -1, "the first ten": 10} {
		r, err := s.Get(t.Context(), "x", 0, n)
		if err == nil {
			_, err = io.ReadAll(r)
			r.Close()
		}
		if n > 0 { // it is the store that knows no ranges
			if !rookery.Is(err, rookery.KindUnavailable) {
				t.Errorf("%s: %v", what, err)
			}
			continue
		}
		check(what, err)
	}
	_, err := s.Stat(t.Context(), "x")
	check("Stat", err)
}

// A success that is none is an error, never an empty listing: a sweep, a check
// or a rebuilding of the index would take bodies for lost.
func TestListingsThatAreNone(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		kind rookery.Kind
	}{
		"an error that may pass":  {"<Error><Code>InternalError</Code></Error>", rookery.KindUnavailable},
		"an error that does not":  {"<?xml version=\"1.0\"?>\n<Error><Code>AccessDenied</Code></Error>", rookery.KindDenied},
		"nothing":                 {"", rookery.KindUnavailable},
		"text":                    {"it works!", rookery.KindUnavailable},
		"a page":                  {"<html><body>please sign in</body></html>", rookery.KindUnavailable},
		"another answer":          {"<DeleteResult></DeleteResult>", rookery.KindUnavailable},
		"a listing cut short":     {"<ListBucketResult><Contents><Key>b/1</Key>", rookery.KindUnavailable},
		"a size below zero":       {listed("<Key>b/1</Key><Size>-5</Size>", ""), rookery.KindUnavailable},
		"a size that is too long": {listed("<Key>b/1</Key><Size>18446744073709551615</Size>", ""), rookery.KindUnavailable},
		"a circle": {listed("<Key>b/1</Key><Size>5</Size>", "<IsTruncated>true</IsTruncated><NextContinuationToken>x</NextContinuationToken>"),
			rookery.KindUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			s := fake(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, c.text) })
			s.cfg.Attempts = 2
			seen := 0
			err := s.List(t.Context(), "", func(i blob.Info) error {
				if seen++; seen > 100 {
					return errors.New("it does not end")
				}
				return nil
			})
			if !rookery.Is(err, c.kind) {
				t.Errorf("listed %d: %v, want %v", seen, err, c.kind)
			}
			if err := s.Uploads(t.Context(), "", func(blob.Upload) error { return nil }); !rookery.Is(err, c.kind) {
				t.Errorf("uploads: %v, want %v", err, c.kind)
			}
			if err := s.Delete(t.Context(), "a/1", "a/2", "a/3"); err == nil && name != "another answer" {
				t.Error("a deletion that nobody confirmed is done")
			}
		})
	}
}

func listed(contents, more string) string {
	return "<ListBucketResult><Contents>" + contents + "</Contents>" + more + "</ListBucketResult>"
}

// Answers that do not end cost bounded memory, whatever their status.
func TestAnswersWithoutEnd(t *testing.T) {
	row := strings.Repeat("<Contents><Key>b/00/1/x.pk</Key><Size>5</Size></Contents>", 1000)
	for _, status := range []int{200, 403, 500} {
		s := fake(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			io.WriteString(w, "<ListBucketResult>")
			for range 16 << 20 / len(row) * 16 {
				if _, err := io.WriteString(w, row); err != nil {
					return
				}
			}
		})
		s.cfg.Attempts = 1
		before := allocated()
		err := s.List(t.Context(), "", func(blob.Info) error { return nil })
		if !rookery.Is(err, rookery.KindUnavailable) || !strings.Contains(err.Error(), "longer than") {
			t.Errorf("%d: %v", status, err)
		}
		if n := allocated() - before; n > 12*maxAnswer {
			t.Errorf("%d: %d MiB for one answer", status, n>>20)
		}
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// A store that sends elsewhere is not followed: requests are signed for one
// host, and carry mail.
func TestRedirectsAreNotFollowed(t *testing.T) {
	n := 0
	elsewhere := fake(t, func(w http.ResponseWriter, r *http.Request) { n++ })
	for _, status := range []int{301, 302, 307, 308} {
		s := fake(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.cfg.Endpoint+r.URL.Path, status)
		})
		s.cfg.Attempts = 1
		if _, err := s.Get(t.Context(), "x", 0, 5); !rookery.Is(err, rookery.KindUnavailable) {
			t.Errorf("%d: get: %v", status, err)
		}
		if err := s.Put(t.Context(), "x", strings.NewReader("text"), 4, blob.PutOptions{}); !rookery.Is(err, rookery.KindUnavailable) {
			t.Errorf("%d: put: %v", status, err)
		}
	}
	if n != 0 {
		t.Errorf("%d requests went elsewhere", n)
	}
}

// Ranges that are not those asked for are no bytes of the object's.
func TestRangesThatLie(t *testing.T) {
	for name, header := range map[string]string{
		"from elsewhere": "bytes 3-12/100", "shorter": "bytes 5-9/10", "longer": "bytes 5-24/100", "none": "", "garbage": "bytes */10",
		"of no length": "bytes 5-14/-1",
	} {
		s := fake(t, func(w http.ResponseWriter, r *http.Request) {
			n := 10
			switch name {
			case "shorter":
				n = 5
			case "longer":
				n = 20
			}
			object(w, fmt.Sprint(n))
			if header != "" {
				w.Header().Set("Content-Range", header)
			}
			w.WriteHeader(http.StatusPartialContent)
			w.Write(make([]byte, n))
		})
		s.cfg.Attempts = 1
		r, err := s.Get(t.Context(), "x", 5, 10)
		if err == nil {
			r.Close()
		}
		if name == "of no length" { // nothing depends on it
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		} else if k := rookery.KindOf(err); k != rookery.KindUnavailable && k != rookery.KindDamaged {
			t.Errorf("%s: %v", name, err)
		}
	}
}
