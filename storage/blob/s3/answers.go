package s3

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	// maxAnswer bounds what is read of an answer that is no object, in bytes: a
	// page of 1,000 keys takes less than 1 MiB.
	maxAnswer = 8 << 20
	// maxAnswerTime bounds the time that takes. Stores may think for minutes
	// about the completion of a large upload, and send blanks meanwhile.
	maxAnswerTime = 10 * time.Minute
)

// answers is a transport that distrusts what the store says. The client library
// reads a document of any length into memory, and takes a success with an error
// in it, or a proxy's page in HTML, for a listing of nothing: bodies would seem
// lost. The bytes of objects pass as they come.
type answers struct{ *http.Transport }

// RoundTrip implements http.RoundTripper.
func (a answers) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := a.Transport.RoundTrip(req)
	if err != nil || req.Method == http.MethodHead || isObject(req, resp) {
		return resp, err
	}
	text, err := readAnswer(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 == 2 {
		switch root, want := rootOf(text), listing(req); {
		case root == "Error":
			resp.StatusCode, resp.Status = http.StatusInternalServerError, "500 error in a success"
		case want != "" && root != want:
			return nil, fmt.Errorf("the store answered a listing with %q, want %s: does a proxy or another service answer at "+
				"this address?", root, want)
		}
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	return resp, nil
}

// isObject says whether an answer carries an object's bytes.
func isObject(req *http.Request, resp *http.Response) bool {
	return req.Method == http.MethodGet && resp.StatusCode/100 == 2 && req.URL.RawQuery == ""
}

// listing is the element that the answer to a listing consists of.
func listing(req *http.Request) string {
	q := req.URL.Query()
	switch {
	case req.Method != http.MethodGet:
		return ""
	case q.Has("list-type"):
		return "ListBucketResult"
	case q.Has("versions"):
		return "ListVersionsResult"
	case q.Has("uploads"):
		return "ListMultipartUploadsResult"
	}
	return ""
}

func readAnswer(body io.ReadCloser) ([]byte, error) {
	late := time.AfterFunc(maxAnswerTime, func() { body.Close() }) // ends the reading
	defer late.Stop()
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, maxAnswer+1))
	if err == nil && len(text) > maxAnswer {
		err = fmt.Errorf("the store's answer is longer than %d bytes, which none has to be", maxAnswer)
	}
	return text, err
}

// rootOf is the name of a document's outermost element, "" where it has none.
func rootOf(text []byte) string {
	d := xml.NewDecoder(bytes.NewReader(text))
	for {
		t, err := d.RawToken()
		if err != nil {
			return ""
		}
		if e, ok := t.(xml.StartElement); ok {
			return e.Name.Local
		}
	}
}
