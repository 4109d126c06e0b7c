package main

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"os"
	"strings"
	"syscall"
	"time"

	"rookery"
	"rookery/storage/body"
	"rookery/storage/command"
	"rookery/storage/dictionary"
	"rookery/storage/pack"
	"rookery/test/corpus"
)

// compress measures what real mail takes, and what making it smaller costs:
// without a dictionary, with the generic one, and with one trained on the other
// half of the same collection. It needs no server.
func (b *bench) compress() error {
	m, err := readMail()
	if err != nil {
		return err
	}
	var out strings.Builder
	fmt.Fprintf(&out, "\nTrained on %d messages dealt out to %d accounts, in %v of CPU: %d strings, %d bytes.\n\n", m.trained.Samples, m.trained.Accounts,
		m.cost.Round(10*time.Millisecond), len(m.trained.Pieces), len(m.trained.Dictionary))
	out.WriteString("| mail | dictionary | packs (of what was received) | extracts in the state | encode (µs of CPU a message) | decode |\n|---|---|---|---|---|---|\n")
	for _, set := range []struct {
		name     string
		messages [][]byte
	}{{"ordinary mail, the half not trained on", m.rest}, {"the whole corpus", m.all}} {
		for _, c := range m.dictionaries() {
			row, err := b.compressWith(set.messages, c.raw)
			if err != nil {
				return err
			}
			fmt.Fprintf(&out, "| %s, %d messages | %s | %s |\n", set.name, len(set.messages), c.name, row)
		}
	}
	b.more += out.String()
	return nil
}

// mail is the corpus: what the dictionary is trained on, the other half of the
// ordinary mail, and all of it.
type mail struct {
	rest, all [][]byte
	trained   dictionary.Trained
	cost      time.Duration // CPU of the training
}

func readMail() (*mail, error) {
	dir, err := os.MkdirTemp("", "rookery-corpus")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	all, err := corpus.Read(dir)
	if err != nil {
		return nil, err
	}
	m := &mail{}
	var learn []dictionary.Sample
	for _, x := range all {
		m.all = append(m.all, x.Text)
		switch {
		case !x.Plain():
		case digits(x.Name)%2 == 0:
			e, err := body.ExtractFrom(context.Background(), bytes.NewReader(x.Text))
			if err != nil {
				return nil, err
			}
			learn = append(learn, dictionary.Sample{Account: rookery.AccountID{byte(digits(x.Name) / 2 % 40)}, Talk: dictionary.Talk(e), Text: x.Text})
		default:
			m.rest = append(m.rest, x.Text)
		}
	}
	before := cpuTime()
	m.trained, err = dictionary.Train(context.Background(), uint32(rookery.FirstSiteDictionary), learn, 5)
	m.cost = cpuTime() - before
	return m, err
}

// named is a dictionary that mail may be encoded with.
type named struct {
	name string
	raw  []byte
}

func (m *mail) dictionaries() []named {
	generic, _ := dictionary.BuiltIn(dictionary.Generic)
	return []named{{"none", nil}, {"generic", generic}, {"trained", m.trained.Dictionary}}
}

// compressWith measures one set with one dictionary: sizes once, times as the
// median of the runs.
func (b *bench) compressWith(messages [][]byte, raw []byte) (string, error) {
	var encode, decode []float64
	var s stored
	for range b.runs {
		var err error
		if s, err = storeWith(messages, raw); err != nil {
			return "", err
		}
		encode, decode = append(encode, s.encode.Seconds()*1e6/float64(len(messages))), append(decode, s.decode.Seconds()*1e6/float64(len(messages)))
	}
	return fmt.Sprintf("%.3f | %.3f | %.0f | %.0f", s.ratio(), float64(s.extracts)/float64(s.received), median(encode), median(decode)), nil
}

// stored is what became of a set of messages.
type stored struct {
	received, packs, extracts int
	encode, decode            time.Duration // of CPU
}

// ratio is stored bytes for each received one.
func (s stored) ratio() float64 { return float64(s.packs) / float64(s.received) }

// storeWith encodes messages with a dictionary or none, reads them back, and
// puts them into packs. Encoding includes the extraction and the encryption.
func storeWith(messages [][]byte, raw []byte) (s stored, err error) {
	var d *body.Dictionary
	if raw != nil {
		if d, err = body.NewDictionary(raw); err != nil {
			return s, err
		}
	}
	type kept struct {
		layout  body.Layout
		encoded []byte
	}
	ctx, key := context.Background(), body.NewMessageKey()
	all := make([]kept, len(messages))
	before := cpuTime()
	for i, m := range messages {
		var k kept
		enc, err := body.EncodeWith(ctx, bytes.NewReader(m), key, d, func(c []byte) error { k.encoded = append(k.encoded, c...); return nil })
		if err != nil {
			return s, err
		}
		k.layout, all[i] = enc.Layout, k
		s.received, s.extracts, all[i] = s.received+len(m), s.extracts+len(enc.Sealed), k
	}
	s.encode, before = cpuTime()-before, cpuTime()
	for _, k := range all {
		r := body.NewReaderWith(k.layout, key, d, body.Only(func(_ context.Context, p []byte, off int64) error { copy(p, k.encoded[off:]); return nil }))
		if err := r.Verify(ctx); err != nil {
			return s, err
		}
		r.Close()
	}
	s.decode = cpuTime() - before
	w, size := pack.NewWriter(2, pack.NewID(time.Now()), 8<<20), 0
	for i, k := range all {
		layout, err := k.layout.MarshalBinary()
		if err != nil {
			return s, err
		}
		if len(k.encoded) > 0 {
			err = w.Add(command.BodyID(i+1), layout, int64(len(k.encoded)), func(p []byte, off int64) error { copy(p, k.encoded[off:]); return nil })
		}
		if err != nil {
			return s, err
		}
		if size += len(k.encoded); size > 8<<20 || i == len(all)-1 {
			s.packs += len(w.Finish())
			w, size = pack.NewWriter(2, pack.NewID(time.Now()), 8<<20), 0
		}
	}
	return s, nil
}

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// digits is a number made of a name, the same in every run.
func digits(name string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(name))
	return h.Sum32() >> 4
}
