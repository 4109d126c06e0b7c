package body

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"

	"rookery"
	"rookery/storage/keys"
	"rookery/storage/message"
)

// Encoded is what Encode made of a message.
type Encoded struct {
	Layout  Layout
	Extract *message.Extract
	// Sealed is the sealed extract for the group's state; nil when it was
	// larger than MaxInlineExtract and was emitted behind the chunks, where
	// Layout.ExtractOffset and ExtractLen find it (see Reader.Extract).
	Sealed []byte
	// Trailing reports that the sealed extract follows the chunks.
	Trailing bool
	// SHA256 is the digest of the message. It names the content: do not store
	// it where it outlives the keys.
	SHA256 [32]byte
	// Size is the message's size in bytes.
	Size int64
}

// Encode reads a message, the final bytes with CRLF line ends, encodes it under
// key and extracts from it, in one pass and bounded memory. Each encoded piece
// (at most ChunkSize+64 bytes) is passed to emit, in order; it is valid during
// the call only. The pieces together are the encoded body, Layout.EncodedSize
// bytes. An error of r, ctx or emit ends it and is returned wrapped.
func Encode(ctx context.Context, r io.Reader, key keys.MessageKey, emit func(chunk []byte) error) (Encoded, error) {
	const op = "encode message"
	var out Encoded
	out.Layout.Version = LayoutVersion
	out.Layout.Dictionary = Generic
	rand.Read(out.Layout.Salt[:])
	seal := newChunkSealer(key, out.Layout.Salt)
	defer seal.close()
	scan := message.NewScanner()
	defer scan.Close()
	sum := sha256.New()

	err := eachChunk(ctx, r, func(plain []byte, last bool) error {
		scan.Write(plain)
		sum.Write(plain)
		chunk := seal.chunk(plain, last)
		out.Layout.ChunkLens = append(out.Layout.ChunkLens, uint32(len(chunk)))
		out.Size += int64(len(plain))
		if out.Size > maxPlainSize {
			return rookery.E(op, rookery.KindTooLarge, errors.New("the message is larger than the format allows"))
		}
		return emit(chunk)
	})
	if err != nil {
		return Encoded{}, rookery.E(op, rookery.KindUnknown, err)
	}
	out.Layout.PlainSize = out.Size
	sum.Sum(out.SHA256[:0])
	out.Layout.Digest = keyedDigest(key, out.SHA256)
	out.Extract = scan.Finish()
	out.Sealed = Seal(out.Extract, key)
	if len(out.Sealed) > MaxInlineExtract {
		if err := emitTrailing(&out, emit); err != nil {
			return Encoded{}, rookery.E(op, rookery.KindUnknown, err)
		}
	}
	return out, nil
}

func emitTrailing(out *Encoded, emit func([]byte) error) error {
	out.Trailing = true
	out.Layout.ExtractLen = uint32(len(out.Sealed))
	for rest := out.Sealed; len(rest) > 0; {
		n := min(len(rest), ChunkSize)
		if err := emit(rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	out.Sealed = nil
	return nil
}

// eachChunk cuts r into chunks. It reads one byte ahead to know the last one.
func eachChunk(ctx context.Context, r io.Reader, fn func(plain []byte, last bool) error) error {
	buf := buffers.Get().(*chunkBuffer)
	defer buffers.Put(buf)
	ahead := 0
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.ReadFull(r, buf[ahead:ChunkSize+1])
		n += ahead
		switch {
		case err == nil:
			if err := fn(buf[:ChunkSize], false); err != nil {
				return err
			}
			buf[0], ahead = buf[ChunkSize], 1
		case errors.Is(err, io.ErrUnexpectedEOF) || err == io.EOF:
			if n == 0 {
				return nil
			}
			return fn(buf[:n], true)
		default:
			return err
		}
	}
}

// chunkSealer packs and encrypts the chunks of one body.
type chunkSealer struct {
	gcm   cipher.AEAD
	out   *chunkBuffer
	n     uint64
	nonce [nonceSize]byte
	aad   [10]byte
}

func newChunkSealer(key keys.MessageKey, salt [16]byte) *chunkSealer {
	return &chunkSealer{gcm: chunkGCM(key, salt), out: buffers.Get().(*chunkBuffer)}
}

func (s *chunkSealer) close() { buffers.Put(s.out) }

// chunk gives the next encoded chunk, valid until the next call.
func (s *chunkSealer) chunk(plain []byte, last bool) []byte {
	packed := generic.pack(s.out[:0], plain)
	chunkNonce(&s.nonce, &s.aad, s.n, last)
	s.n++
	return s.gcm.Seal(packed[:0], s.nonce[:], packed, s.aad[:])
}

func chunkGCM(key keys.MessageKey, salt [16]byte) cipher.AEAD {
	return key.Cipher("rookery body chunks", salt[:]...)
}

// chunkNonce fills in the nonce and the additional data: chunks can be neither
// reordered, nor cut off, nor moved between bodies.
func chunkNonce(nonce *[nonceSize]byte, aad *[10]byte, n uint64, last bool) {
	binary.BigEndian.PutUint64(nonce[4:], n)
	aad[0] = LayoutVersion
	binary.BigEndian.PutUint64(aad[1:9], n)
	aad[9] = 0
	if last {
		aad[9] = 1
	}
}

func keyedDigest(key keys.MessageKey, sum [32]byte) [32]byte {
	return key.Digest("rookery body digest", sum[:])
}
