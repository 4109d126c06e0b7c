package body

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"rookery"
	"rookery/storage/keys"
	"rookery/storage/message/messagetest"
)

// TestGeneric wants the built-in dictionary to be what its source says, and to
// stay what it is for ever.
func TestGeneric(t *testing.T) {
	source, err := os.ReadFile("generic-1.txt")
	if err != nil {
		t.Fatal(err)
	}
	x, err := zstd.InspectDictionary(generic1)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(source), "\n", "\r\n")
	if x.ID() != uint32(Generic) || !bytes.Equal(x.Content(), []byte(text)) {
		t.Errorf("generic-1.dict has id %d and is not made of generic-1.txt", x.ID())
	}
	const want = "25cb7fab1b03ccbd"
	if sum := sha256.Sum256(generic1); hex.EncodeToString(sum[:8]) != want {
		t.Errorf("generic-1.dict is %x: it must never change, for stored mail needs it", sum[:8])
	}
}

// TestDictionaryShrinks wants the dictionary to be of use, and never of harm.
func TestDictionaryShrinks(t *testing.T) {
	const mail = "Return-Path: <a@example.org>\r\nReceived: from mail.example.org (mail.example.org [192.0.2.1])\r\n" +
		"\tby mx.example.com with ESMTPS id x1\r\n\tfor <b@example.com>; Mon, 05 Jan 2026 10:11:12 +0000\r\n" +
		"From: A <a@example.org>\r\nTo: b@example.com\r\nSubject: Re: lunch\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: text/plain; charset=\"UTF-8\"\r\nContent-Transfer-Encoding: 7bit\r\n\r\nSee you there. Best regards, A\r\n"
	plain := mustCoder(zstd.NewWriter(nil, encoderOptions()...))
	without, with := len(plain.EncodeAll([]byte(mail), nil)), len(generic.pack(nil, []byte(mail)))
	if with > without*3/4 {
		t.Errorf("%d bytes take %d without the dictionary and %d with it", len(mail), without, with)
	}
	if n := len(generic.pack(nil, []byte{0, 1, 2})); n > 4 {
		t.Errorf("3 bytes take %d", n)
	}
}

func TestEveryBodyNamesItsDictionary(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	noise := make([]byte, ChunkSize+100)
	for i := range noise {
		noise[i] = byte(rnd.Uint32())
	}
	for _, msg := range [][]byte{nil, []byte("a"), messagetest.Sample(3000), messagetest.Sample(4*ChunkSize + 3), noise,
		append(messagetest.Sample(40<<10), noise...)} {
		key := keys.NewMessageKey()
		layout, stored, enc := encodeBytes(t, msg, key)
		if _, id := sealHead(enc.Sealed); layout.Dictionary != Generic || id != Generic {
			t.Fatalf("a body names dictionary %d, its extract %d", layout.Dictionary, id)
		}
		if err := NewReader(layout, key, fromBytes(stored)).Verify(context.Background()); err != nil {
			t.Fatalf("%d bytes: %v", len(msg), err)
		}
		// What a newer program made is not damaged: it waits for that program.
		layout.Dictionary = Generic + 1
		if err := NewReader(layout, key, fromBytes(stored)).Verify(context.Background()); !rookery.Is(err, rookery.KindUnavailable) {
			t.Errorf("reading with a dictionary that is not here: %v", err)
		}
		newer := append(binary.AppendUvarint([]byte{sealFormat}, uint64(Generic)+1), enc.Sealed[2:]...)
		if _, err := Open(newer, key); !rookery.Is(err, rookery.KindUnavailable) {
			t.Errorf("opening with a dictionary that is not here: %v", err)
		}
	}
}

// FuzzUnpack reads hostile frames: whoever has a message key may make one.
func FuzzUnpack(f *testing.F) {
	f.Add(generic.pack(nil, messagetest.Sample(900)))
	f.Add([]byte{codecZstd, 0x28, 0xb5, 0x2f, 0xfd, 0xa1, 1, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, src []byte) {
		out, ok := generic.unpack(make([]byte, 0, ChunkSize), src)
		if ok && len(out) > ChunkSize {
			t.Fatalf("%d bytes out of one chunk", len(out))
		}
		Open(append([]byte{sealFormat, byte(Generic)}, src...), keys.MessageKey{})
	})
}
