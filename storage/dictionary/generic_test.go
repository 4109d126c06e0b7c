package dictionary

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"rookery/storage/body"
)

// invented makes mail for the generic dictionary's tables out of its own words.
func invented(text string) (samples []Sample) {
	rnd := rand.New(rand.NewPCG(1, 1))
	lines, words := strings.SplitAfter(text, "\r\n"), strings.Fields(text)
	for i := range 200 {
		var b strings.Builder
		at := rnd.IntN(len(lines) - 40)
		for _, l := range lines[at : at+15+rnd.IntN(25)] {
			b.WriteString(strings.TrimSuffix(l, "\r\n"))
			switch rnd.IntN(3) {
			case 0:
				fmt.Fprintf(&b, "%x.%d@%s.example", rnd.Uint64(), rnd.IntN(1e6), words[rnd.IntN(len(words))])
			case 1:
				fmt.Fprintf(&b, " %s %s", strings.ToLower(words[rnd.IntN(len(words))]), words[rnd.IntN(len(words))])
			}
			b.WriteString("\r\n")
		}
		for range 40 + 20*(i%12) {
			w := []byte(strings.ToLower(words[rnd.IntN(len(words))]))
			rnd.Shuffle(len(w), func(i, j int) { w[i], w[j] = w[j], w[i] })
			b.Write(append(w, ' '))
		}
		samples = append(samples, Sample{Text: []byte(b.String())})
	}
	return samples
}

// TestGeneric wants the built-in dictionary to be what its source says, and to
// stay what it is for ever. ROOKERY_GENERIC writes a new one, under a new name.
func TestGeneric(t *testing.T) {
	source, err := os.ReadFile("generic-1.txt")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(source), "\n", "\r\n")
	if path := os.Getenv("ROOKERY_GENERIC"); path != "" {
		made, err := Format(uint32(Generic), []byte(text), invented(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, made, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, ok := BuiltIn(Generic)
	if !ok {
		t.Fatal("there is no generic dictionary")
	}
	x, err := zstd.InspectDictionary(b)
	if err != nil {
		t.Fatal(err)
	}
	if x.ID() != uint32(Generic) || !bytes.Equal(x.Content(), []byte(text)) {
		t.Errorf("generic-1.dict has id %d and is not made of generic-1.txt", x.ID())
	}
	const want = "25cb7fab1b03ccbd"
	if sum := sha256.Sum256(b); hex.EncodeToString(sum[:8]) != want {
		t.Errorf("generic-1.dict is %x: it must never change, for stored mail needs it", sum[:8])
	}
	d, err := body.NewDictionary(b)
	if err != nil {
		t.Fatal(err)
	}
	const mail = "Return-Path: <a@example.org>\r\nReceived: from mail.example.org (mail.example.org [192.0.2.1])\r\n\tby mx.example.com with ESMTPS id x1\r\n\tfor <b@example.com>; Mon, 05 Jan 2026 10:11:12 +0000\r\nFrom: A <a@example.org>\r\nTo: b@example.com\r\nSubject: Re: lunch\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=\"UTF-8\"\r\nContent-Transfer-Encoding: 7bit\r\n\r\nSee you there. Best regards, A\r\n"
	none, with := (*body.Dictionary)(nil).Packed([]byte(mail)), d.Packed([]byte(mail))
	if t.Logf("a short message of %d bytes: %d without a dictionary, %d with the generic one", len(mail), none, with); with > none*3/4 {
		t.Error("the generic dictionary is of little use")
	}
	if _, ok := BuiltIn(2); ok {
		t.Error("a second one is built in")
	}
}
