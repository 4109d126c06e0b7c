package body

import (
	"context"
	"io"
	"strings"
	"testing"

	"rookery"
	"rookery/storage/message"
)

// ExtractFrom only extracts, in one pass and bounded memory.
func ExtractFrom(ctx context.Context, r io.Reader) (*message.Extract, error) {
	scan := message.NewScanner()
	defer scan.Close()
	err := eachChunk(ctx, r, func(plain []byte, _ bool) error {
		scan.Write(plain)
		return nil
	})
	if err != nil {
		return nil, rookery.E("extract message", rookery.KindUnknown, err)
	}
	return scan.Finish(), nil
}

func extractText(t testing.TB, msg string) *message.Extract {
	t.Helper()
	e, err := ExtractFrom(context.Background(), strings.NewReader(msg))
	if err != nil {
		t.Fatal(err)
	}
	return e
}
