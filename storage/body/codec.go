package body

import (
	"sync"

	"github.com/klauspost/compress/zstd"
)

// The sizes in bytes of a nonce and of a tag of AES-GCM.
const (
	nonceSize = 12
	tagSize   = 16
)

// buffers holds nothing but memory: a buffer is overwritten before use.
var buffers = sync.Pool{New: func() any { return new(chunkBuffer) }}

// chunkBuffer has room for one chunk, plain or encoded, and one byte more.
type chunkBuffer [ChunkSize + 1024]byte

// encoderOptions make a small compressor. All-literal compression is what makes
// base64 of random data a quarter smaller.
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
	codecRaw  = 0
	codecZstd = 1 // with the dictionary named beside it
)

// pack appends the codec byte and src, compressed if that is smaller, to dst.
func (d *dictionary) pack(dst, src []byte) []byte {
	start := len(dst)
	enc := d.encoders.Get().(*zstd.Encoder)
	dst = enc.EncodeAll(src, append(dst, codecZstd))
	d.encoders.Put(enc)
	if len(dst)-start-1 >= len(src) {
		dst = append(append(dst[:start], codecRaw), src...)
	}
	return dst
}

// unpack is the inverse of pack. The result is at most cap(dst) bytes long; it
// lies in dst or in src.
func (d *dictionary) unpack(dst, src []byte) ([]byte, bool) {
	if len(src) == 0 {
		return nil, false
	}
	switch codec, src := src[0], src[1:]; codec {
	case codecRaw:
		return src, len(src) <= cap(dst)
	case codecZstd:
		dec := d.decoders.Get().(*zstd.Decoder)
		out, err := dec.DecodeAll(src, dst[:0])
		d.decoders.Put(dec)
		return out, err == nil && len(out) <= cap(dst)
	}
	return nil, false
}
