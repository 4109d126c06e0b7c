package quirk

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// opOf tells what a request wants. Keys have at least one slash behind the
// bucket, so a path of one part is the bucket's.
func opOf(r *http.Request) Op {
	q := r.URL.Query()
	object := strings.Contains(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case r.Method == http.MethodPut && q.Has("partNumber"):
		return Part
	case r.Method == http.MethodPost && q.Has("uploads"):
		return Begin
	case r.Method == http.MethodPost && q.Has("uploadId"):
		return Complete
	case r.Method == http.MethodDelete && q.Has("uploadId"):
		return Abort
	case r.Method == http.MethodPost && q.Has("delete"), r.Method == http.MethodDelete && object:
		return Delete
	case r.Method == http.MethodGet && q.Has("list-type"):
		return List
	case !object:
		return Other
	case r.Method == http.MethodPut:
		return Put
	case r.Method == http.MethodGet:
		return Get
	case r.Method == http.MethodHead:
		return Head
	}
	return Other
}

// answer is what an S3 server says of a failure.
func answer(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("x-amz-request-id", "QUIRK")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>a fault of the test</Message><RequestId>QUIRK</RequestId></Error>", code)
}

// lost swallows an answer.
type lost struct{ header http.Header }

func (l *lost) Header() http.Header         { return l.header }
func (l *lost) WriteHeader(int)             {}
func (l *lost) Write(p []byte) (int, error) { return len(p), nil }

// halfBody fails after some bytes of an upload.
type halfBody struct {
	io.ReadCloser
	left int64
}

func (h *halfBody) Read(p []byte) (int, error) {
	if h.left <= 0 {
		return 0, errors.New("quirk: the upload is cut here")
	}
	n, err := h.ReadCloser.Read(p[:min(int64(len(p)), h.left)])
	h.left -= int64(n)
	return n, err
}

// garbled flips the first bit of an object's bytes, or ends them half way.
type garbled struct {
	http.ResponseWriter
	cut    bool
	object bool // the answer carries an object's bytes
	left   int64
	passed bool
}

func (g *garbled) WriteHeader(status int) {
	g.object = status == http.StatusOK || status == http.StatusPartialContent
	n, _ := strconv.ParseInt(g.Header().Get("Content-Length"), 10, 64)
	g.left = n / 2
	g.ResponseWriter.WriteHeader(status)
}

func (g *garbled) Write(p []byte) (int, error) {
	if !g.object || len(p) == 0 {
		return g.ResponseWriter.Write(p)
	}
	if !g.cut {
		if !g.passed {
			g.passed = true
			p = append([]byte{p[0] ^ 1}, p[1:]...)
		}
		return g.ResponseWriter.Write(p)
	}
	if int64(len(p)) > g.left {
		g.ResponseWriter.Write(p[:g.left])
		http.NewResponseController(g.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	g.left -= int64(len(p))
	return g.ResponseWriter.Write(p)
}
