package body

import (
	"context"
	"fmt"
	"io"
	"rookery/storage/keys"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestHostileMessages extracts what is made to cost much, and holds the cost
// against the message's size.
func TestHostileMessages(t *testing.T) {
	var params strings.Builder
	for i := range 70 {
		fmt.Fprintf(&params, ";p%d=", i)
	}
	part := "--b\r\nContent-Type: text/plain" + params.String() + "\r\nContent-Disposition: x" + params.String() + "\r\n\r\n\r\n"
	nested := ""
	for i := range 60 {
		nested += fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	start := "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
	repeat := func(head, s string, size int) io.Reader {
		return io.MultiReader(strings.NewReader(head), strings.NewReader(strings.Repeat(s, size/len(s))))
	}
	const size = 8 << 20
	for name, r := range map[string]io.Reader{
		"addresses":         repeat("To: ", "a,", size),
		"groups":            repeat("To: ", "a:;", size),
		"references":        repeat("References: ", "<a>", size),
		"fields":            repeat("", "a:\r\n", size),
		"one line":          repeat("", "a", size),
		"parts with much":   repeat(start, part, size),
		"empty parts":       repeat(start, "--b\r\n", size),
		"enclosed messages": repeat("Content-Type: multipart/digest; boundary=b\r\n\r\n", "--b\r\n\r\nTo: a,b,c,d,e,f,g\r\nSubject: x\r\n\r\n", size),
		"dashes":            repeat(start, "--\r\n", size),
		"nested dashes":     repeat(nested, "--b\r\n", size),
		"half delimiters":   repeat(start, "--b", size),
		"preview":           repeat("Content-Type: text/html\r\n\r\n", "<style>", size),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := time.Now()
		e, err := ExtractFrom(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		sealed := Seal(e, keys.MessageKey{})
		if _, err := Open(sealed, keys.MessageKey{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		runtime.ReadMemStats(&after)
		took, cost := time.Since(began), after.TotalAlloc-before.TotalAlloc
		t.Logf("%-18s %8v, %4d MiB allocated, sealed %d bytes", name, took.Round(time.Millisecond), cost>>20, len(sealed))
		if cost > 160<<20 || took > 3*time.Minute {
			t.Errorf("%s costs too much", name)
		}
	}
}
