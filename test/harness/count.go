package harness

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// Requests count what a node asks of its object store about packs.
type Requests struct {
	Get, Put, Head, Delete int
	Sent                   int64 // bytes of bodies that came with GETs
}

// Counter stands between a node and an S3 server and counts.
type Counter struct {
	URL string
	mu  sync.Mutex
	now Requests
}

// CountRequests starts a Counter in front of an S3 server, until the test ends.
func CountRequests(t testing.TB, endpoint string) *Counter {
	t.Helper()
	u, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	c := &Counter{}
	// The host stays as it is: the requests are signed for it.
	p := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = u.Scheme, u.Host, r.In.Host
		},
		ModifyResponse: func(r *http.Response) error { c.answered(r); return nil },
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.asked(r)
		p.ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	c.URL = web.URL
	return c
}

// pack says whether a request is about a pack: /BUCKET/b/HH/GROUP/ID.pk.
func pack(r *http.Request) bool {
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	return strings.HasPrefix(key, "b/") && strings.HasSuffix(key, ".pk")
}

func (c *Counter) asked(r *http.Request) {
	if !pack(r) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch r.Method {
	case http.MethodGet:
		c.now.Get++
	case http.MethodPut:
		c.now.Put++
	case http.MethodHead:
		c.now.Head++
	case http.MethodDelete:
		c.now.Delete++
	}
}

func (c *Counter) answered(r *http.Response) {
	if r.Request.Method != http.MethodGet || !pack(r.Request) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now.Sent += r.ContentLength
}

// Since gives what was counted since an earlier reading.
func (c *Counter) Since(then Requests) Requests {
	now := c.Now()
	return Requests{now.Get - then.Get, now.Put - then.Put, now.Head - then.Head, now.Delete - then.Delete, now.Sent - then.Sent}
}

// Now is what was counted so far.
func (c *Counter) Now() Requests {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}
