package dictionary

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"testing"
	"time"

	"rookery"
	"rookery/storage/body"
	"rookery/storage/command"
	"rookery/storage/pack"
	"rookery/test/corpus"
)

// number is a message's number in [0, n), the same in every run.
func number(name string, n uint32) uint32 {
	h := fnv.New32a()
	h.Write([]byte(name))
	return h.Sum32() >> 4 % n
}

// sample is a message as one of so many accounts has it. The corpus does not
// say whose its mail was: it is dealt out.
func sample(t testing.TB, m corpus.Message, accounts uint32) Sample {
	e, err := body.ExtractFrom(context.Background(), bytes.NewReader(m.Text))
	if err != nil {
		t.Fatal(err)
	}
	return Sample{Account: rookery.AccountID{byte(number(m.Name, accounts))}, Talk: Talk(e), Text: m.Text}
}

// halves splits ordinary mail in one half for training and one to measure.
func halves(t testing.TB, all []corpus.Message) (train []Sample, rest [][]byte) {
	for _, m := range all {
		switch {
		case !m.Plain():
		case number("half"+m.Name, 2) == 0:
			train = append(train, sample(t, m, 40))
		default:
			rest = append(rest, m.Text)
		}
	}
	return train, rest
}

// stored is what a set of messages takes.
type stored struct{ plain, packs, extracts int }

func (s stored) String() string {
	return fmt.Sprintf("%d bytes, packs %d (%.3f of what was received), extracts %d (%.3f)",
		s.plain, s.packs, s.ratio(), s.extracts, float64(s.extracts)/float64(s.plain))
}

func (s stored) ratio() float64 { return float64(s.packs) / float64(s.plain) }

// store brings messages all the way into packs, and reads a part of them back.
func store(t testing.TB, messages [][]byte, d *body.Dictionary) (s stored) {
	ctx, key := context.Background(), body.NewMessageKey()
	w := pack.NewWriter(2, pack.NewID(time.Now()), 8<<20)
	size := 0
	finish := func() {
		s.packs += len(w.Finish())
		w, size = pack.NewWriter(2, pack.NewID(time.Now()), 8<<20), 0
	}
	for i, m := range messages {
		var encoded []byte
		enc, err := body.EncodeWith(ctx, bytes.NewReader(m), key, d, func(c []byte) error { encoded = append(encoded, c...); return nil })
		if err != nil {
			t.Fatal(err)
		}
		layout, err := enc.Layout.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if s.plain, s.extracts = s.plain+len(m), s.extracts+len(enc.Sealed); len(encoded) == 0 {
			continue
		}
		if err := w.Add(command.BodyID(i+1), layout, int64(len(encoded)), func(p []byte, off int64) error { copy(p, encoded[off:]); return nil }); err != nil {
			t.Fatal(err)
		}
		if size += len(encoded); size > 8<<20 {
			finish()
		}
		if i%7 != 0 {
			continue
		}
		r := body.NewReaderWith(enc.Layout, key, d, body.Only(func(_ context.Context, p []byte, off int64) error { copy(p, encoded[off:]); return nil }))
		if err := r.Verify(ctx); err != nil {
			t.Fatal(err)
		}
		r.Close()
	}
	finish()
	return s
}

func read(t testing.TB, b []byte) *body.Dictionary {
	d, err := body.NewDictionary(b)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestRatio measures what is stored of real mail: without a dictionary, with
// the generic one, and with one trained on other mail of the same site.
func TestRatio(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	all := corpus.Messages(t)
	train, rest := halves(t, all)
	began := time.Now()
	trained, err := Train(t.Context(), 16, train, 5)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("trained on %d messages of %d accounts in %d conversations in %v: %d pieces, %d bytes", trained.Samples, trained.Accounts,
		trained.Talks, time.Since(began).Round(time.Millisecond), len(trained.Pieces), len(trained.Dictionary))
	generic, _ := BuiltIn(Generic)
	var made [][]byte
	for i := range 60 {
		made = append(made, newsletter(i))
	}
	own := read(t, trained.Dictionary)
	for i, set := range []struct {
		name     string
		messages [][]byte
	}{
		{"ordinary mail, the other half", rest}, {"invented HTML mail with attachments", made},
	} {
		none, gen, site := store(t, set.messages, nil), store(t, set.messages, read(t, generic)), store(t, set.messages, own)
		t.Logf("%s: %d messages\n no dictionary: %v\n generic:       %v\n trained:       %v", set.name, len(set.messages), none, gen, site)
		if gen.packs > none.packs || site.packs > none.packs*1001/1000 || gen.extracts > none.extracts || site.extracts > none.extracts {
			t.Errorf("%s: a dictionary does harm", set.name)
		}
		if i == 0 && site.ratio() > 0.40 {
			t.Errorf("ordinary mail takes %.3f of what was received, the goal is 0.40", site.ratio())
		}
	}
}

// newsletter invents mail in HTML, two thirds of it with an attachment.
func newsletter(i int) []byte {
	rnd := rand.New(rand.NewPCG(uint64(i), 3))
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: News <news@shop%d.example>\r\nTo: u%d@example.com\r\nSubject: Offers of week %d\r\nMessage-ID: <%x@shop%d.example>\r\nMIME-Version: 1.0\r\n", i%9, i, i, rnd.Uint64(), i%9)
	fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=\"b%x\"\r\n\r\n--b%[1]x\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body><table width=\"600\">\r\n", i)
	for range 20 + rnd.IntN(60) {
		fmt.Fprintf(&b, "<tr><td style=\"padding:8px;font-family:Arial,sans-serif\"><a href=\"https://shop%d.example/item/%x\">Item %d</a></td><td align=\"right\">%d.99</td></tr>\r\n", i%9, rnd.Uint32(), rnd.IntN(5000), rnd.IntN(300))
	}
	b.WriteString("</table></body></html>\r\n")
	if i%3 > 0 {
		fmt.Fprintf(&b, "--b%x\r\nContent-Type: application/pdf; name=\"offer.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\n", i)
		raw := make([]byte, 57)
		for range 100 + rnd.IntN(3000) {
			for k := range raw {
				raw[k] = byte(rnd.Uint32())
			}
			b.WriteString(base64.StdEncoding.EncodeToString(raw) + "\r\n")
		}
	}
	fmt.Fprintf(&b, "--b%x--\r\n", i)
	return b.Bytes()
}

// BenchmarkEncode measures the CPU a message of the corpus takes, extraction
// and encryption included.
func BenchmarkEncode(b *testing.B) {
	train, rest := halves(b, corpus.Messages(b))
	trained, err := Train(b.Context(), 16, train, 5)
	if err != nil {
		b.Fatal(err)
	}
	generic, _ := BuiltIn(Generic)
	for _, c := range []struct {
		name string
		d    *body.Dictionary
	}{{"none", nil}, {"generic", read(b, generic)}, {"trained", read(b, trained.Dictionary)}} {
		b.Run(c.name, func(b *testing.B) {
			key, plain, out := body.NewMessageKey(), 0, 0
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				m := rest[i%len(rest)]
				enc, err := body.EncodeWith(b.Context(), bytes.NewReader(m), key, c.d, func(c []byte) error { out += len(c); return nil })
				if err != nil {
					b.Fatal(err)
				}
				plain, out = plain+len(m), out+len(enc.Sealed)
			}
			b.ReportMetric(float64(plain)/float64(b.N), "bytes/msg")
		})
		b.Run(c.name+"/read", func(b *testing.B) {
			key := body.NewMessageKey()
			type kept struct {
				layout  body.Layout
				encoded []byte
			}
			var all []kept
			for _, m := range rest[:500] {
				var k kept
				enc, err := body.EncodeWith(b.Context(), bytes.NewReader(m), key, c.d, func(c []byte) error { k.encoded = append(k.encoded, c...); return nil })
				if err != nil {
					b.Fatal(err)
				}
				k.layout = enc.Layout
				all = append(all, k)
			}
			for i := 0; b.Loop(); i++ {
				k := all[i%len(all)]
				r := body.NewReaderWith(k.layout, key, c.d, body.Only(func(_ context.Context, p []byte, off int64) error { copy(p, k.encoded[off:]); return nil }))
				if err := r.Verify(b.Context()); err != nil {
					b.Fatal(err)
				}
				r.Close()
			}
		})
	}
}
