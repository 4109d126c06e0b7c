package body

import (
	"sync"

	"github.com/klauspost/compress/zstd"
)

// The pools hold nothing but memory: coders are reset and buffers overwritten
// before use, so sharing them shows in nothing but time.
var (
	encoders = sync.Pool{New: func() any { return newEncoder() }}
	decoders = sync.Pool{New: func() any { return newDecoder() }}
	buffers  = sync.Pool{New: func() any { return new(chunkBuffer) }}
)

// chunkBuffer has room for one chunk, plain or encoded, and one byte more.
type chunkBuffer [ChunkSize + 1024]byte

// newEncoder makes a compressor of small windows. All-literal compression is
// what makes base64 of random data a quarter smaller.
func newEncoder() *zstd.Encoder {
	enc, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithAllLitEntropyCompression(true),
		zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(ChunkSize),
		zstd.WithLowerEncoderMem(true),
		zstd.WithSingleSegment(true),
		zstd.WithEncoderCRC(false), // GCM checks
	)
	if err != nil {
		panic("body: zstd refuses fixed options: " + err.Error())
	}
	return enc
}

func newDecoder() *zstd.Decoder {
	dec, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(maxExtract),
		zstd.WithDecodeAllCapLimit(true),
	)
	if err != nil {
		panic("body: zstd refuses fixed options: " + err.Error())
	}
	return dec
}

// The first plaintext byte of what is sealed tells how the rest is packed.
const (
	codecRaw  = 0
	codecZstd = 1
)

// pack appends the codec byte and src, compressed if that is smaller, to dst.
func pack(dst, src []byte) []byte {
	start := len(dst)
	enc := encoders.Get().(*zstd.Encoder)
	dst = enc.EncodeAll(src, append(dst, codecZstd))
	encoders.Put(enc)
	if len(dst)-start-1 >= len(src) {
		dst = append(append(dst[:start], codecRaw), src...)
	}
	return dst
}

// unpack is the inverse of pack. The result is at most cap(dst) bytes long; it
// lies in dst or in src.
func unpack(dst, src []byte) ([]byte, bool) {
	if len(src) == 0 {
		return nil, false
	}
	codec, src := src[0], src[1:]
	switch codec {
	case codecRaw:
		return src, len(src) <= cap(dst)
	case codecZstd:
		dec := decoders.Get().(*zstd.Decoder)
		out, err := dec.DecodeAll(src, dst[:0])
		decoders.Put(dec)
		return out, err == nil && len(out) <= cap(dst)
	}
	return nil, false
}
