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
	return mustCoder(zstd.NewWriter(nil, append(encoderOptions(), zstd.WithWindowSize(ChunkSize))...))
}

func encoderOptions() []zstd.EOption {
	return []zstd.EOption{
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithAllLitEntropyCompression(true),
		zstd.WithEncoderConcurrency(1),
		zstd.WithLowerEncoderMem(true),
		zstd.WithSingleSegment(true),
		zstd.WithEncoderCRC(false), // GCM checks
	}
}

func newDecoder() *zstd.Decoder { return mustCoder(zstd.NewReader(nil, decoderOptions()...)) }

func decoderOptions() []zstd.DOption {
	return []zstd.DOption{
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(maxExtract),
		zstd.WithDecodeAllCapLimit(true),
	}
}

func mustCoder[T any](coder T, err error) T {
	if err != nil {
		panic("body: zstd refuses fixed options: " + err.Error())
	}
	return coder
}

// The first plaintext byte of what is sealed tells how the rest is packed.
const (
	codecRaw        = 0
	codecZstd       = 1
	codecDictionary = 2 // zstd with the dictionary named beside it
)

// pack appends the codec byte and src, compressed if that is smaller, to dst;
// with a dictionary if it is not nil.
func pack(dst, src []byte, d *Dictionary) []byte {
	start := len(dst)
	pool, codec := &encoders, byte(codecZstd)
	if d != nil {
		pool, codec = &d.encoders, codecDictionary
	}
	enc := pool.Get().(*zstd.Encoder)
	dst = enc.EncodeAll(src, append(dst, codec))
	pool.Put(enc)
	if len(dst)-start-1 >= len(src) {
		dst = append(append(dst[:start], codecRaw), src...)
	}
	return dst
}

// unpack is the inverse of pack, with the same dictionary. The result is at most
// cap(dst) bytes long; it lies in dst or in src.
func unpack(dst, src []byte, d *Dictionary) ([]byte, bool) {
	if len(src) == 0 {
		return nil, false
	}
	codec, src := src[0], src[1:]
	pool := &decoders
	switch {
	case codec == codecRaw:
		return src, len(src) <= cap(dst)
	case codec == codecDictionary && d != nil:
		pool = &d.decoders
	case codec != codecZstd:
		return nil, false
	}
	dec := pool.Get().(*zstd.Decoder)
	out, err := dec.DecodeAll(src, dst[:0])
	pool.Put(dec)
	return out, err == nil && len(out) <= cap(dst)
}
