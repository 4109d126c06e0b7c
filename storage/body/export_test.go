package body

import (
	"context"
	"io"

	"rookery"
)

// ExtractFrom only extracts, in one pass and bounded memory.
func ExtractFrom(ctx context.Context, r io.Reader) (*Extract, error) {
	scan := newScanner()
	defer scan.close()
	err := eachChunk(ctx, r, func(plain []byte, _ bool) error {
		scan.write(plain)
		return nil
	})
	if err != nil {
		return nil, rookery.E("extract message", rookery.KindUnknown, err)
	}
	return scan.finish(), nil
}
