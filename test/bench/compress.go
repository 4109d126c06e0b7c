package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"rookery/storage/body"
	"rookery/storage/command"
	"rookery/storage/keys"
	"rookery/storage/pack"
	"rookery/test/corpus"
)

// compress measures what real mail takes, and what making it smaller costs. It
// needs no server.
func (b *bench) compress() error {
	text, all, err := readMail()
	if err != nil {
		return err
	}
	var out strings.Builder
	out.WriteString("\n| mail | packs (of what was received) | extracts in the state | encode (µs of CPU a message) | decode " +
		"|\n|---|---|---|---|---|\n")
	for _, set := range []struct {
		name     string
		messages [][]byte
	}{{"ordinary mail", text}, {"the whole corpus", all}} {
		row, err := b.compressed(set.messages)
		if err != nil {
			return err
		}
		fmt.Fprintf(&out, "| %s, %d messages | %s |\n", set.name, len(set.messages), row)
	}
	b.more += out.String()
	return nil
}

// readMail gives the corpus: its ordinary mail, and all of it.
func readMail() (text, all [][]byte, err error) {
	dir, err := os.MkdirTemp("", "rookery-corpus")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(dir)
	messages, err := corpus.Read(dir)
	for _, x := range messages {
		all = append(all, x.Text)
		if x.Plain() {
			text = append(text, x.Text)
		}
	}
	return text, all, err
}

// compressed measures one set: sizes once, times as the median of the runs.
func (b *bench) compressed(messages [][]byte) (string, error) {
	var encode, decode []float64
	var s stored
	for range b.runs {
		var err error
		if s, err = storeAll(messages); err != nil {
			return "", err
		}
		encode, decode = append(encode, s.encode.Seconds()*1e6/float64(len(messages))), append(decode,
			s.decode.Seconds()*1e6/float64(len(messages)))
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

// storeAll encodes messages, reads them back, and puts them into packs. Encoding includes the extraction and the encryption.
func storeAll(messages [][]byte) (s stored, err error) {
	type kept struct {
		layout  body.Layout
		encoded []byte
	}
	ctx, key := context.Background(), keys.NewMessageKey()
	all := make([]kept, len(messages))
	before := cpuTime()
	for i, m := range messages {
		var k kept
		enc, err := body.Encode(ctx, bytes.NewReader(m), key, func(c []byte) error { k.encoded = append(k.encoded, c...); return nil })
		if err != nil {
			return s, err
		}
		k.layout, all[i] = enc.Layout, k
		s.received, s.extracts, all[i] = s.received+len(m), s.extracts+len(enc.Sealed), k
	}
	s.encode, before = cpuTime()-before, cpuTime()
	for _, k := range all {
		r := body.NewReader(k.layout, key, body.Only(func(_ context.Context, p []byte, off int64) error { copy(p, k.encoded[off:]); return nil }))
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
