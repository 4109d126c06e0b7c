package message

import (
	"bytes"
	"context"
)

// EachField gives the fields of a header block with the name in lower case,
// which is valid during the call. It looks at ctx now and then.
func EachField(ctx context.Context, block []byte, fn func(name, field, value []byte)) error {
	var lower []byte
	for n := 0; len(block) > 0; n++ {
		if n%256 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		end := fieldLen(block)
		field := block[:end]
		block = block[end:]
		colon := bytes.IndexByte(field, ':')
		if colon < 0 {
			continue
		}
		lower = lower[:0]
		for _, c := range bytes.TrimRight(field[:colon], " \t") {
			if c >= 'A' && c <= 'Z' {
				c += 'a' - 'A'
			}
			lower = append(lower, c)
		}
		fn(lower, field, field[colon+1:])
	}
	return nil
}

// fieldLen is the length of the first field of a header block with its
// continuation lines.
func fieldLen(block []byte) int {
	end := 0
	for {
		i := bytes.IndexByte(block[end:], '\n')
		if i < 0 {
			return len(block)
		}
		end += i + 1
		if end == len(block) || block[end] != ' ' && block[end] != '\t' {
			return end
		}
	}
}
