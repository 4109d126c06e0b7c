package dictionary

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"rookery"
	"rookery/storage/body"
)

const least = 5

// site invents the mail of a site: everybody shares forms, some share secrets.
func site(accounts, each int) (samples []Sample, secrets []string) {
	rnd := rand.New(rand.NewPCG(5, 6))
	word := func() string {
		b := make([]byte, 5+rnd.IntN(6))
		for i := range b {
			b[i] = byte('a' + rnd.IntN(26))
		}
		return string(b)
	}
	sentence := func(n int) string {
		var w []string
		for range n {
			w = append(w, word())
		}
		return strings.Join(w, " ")
	}
	form := make([]string, 40)
	for i := range form {
		form[i] = sentence(12)
	}
	// In many messages of four accounts, and in one conversation of all.
	few, talked := sentence(30), sentence(30)
	for a := range accounts {
		own := sentence(30) // in every message of one account
		secrets = append(secrets, own)
		for i := range each {
			text := form[rnd.IntN(len(form))] + "\r\n" + own + "\r\n" + form[rnd.IntN(len(form))] + "\r\n" + sentence(20) + "\r\n"
			talk := fmt.Sprintf("%d.%d", a, i)
			if a < least-1 {
				text += few + "\r\n"
			}
			if i == 0 {
				talk, text = "the one", text+talked+"\r\n"
			}
			samples = append(samples, Sample{rookery.AccountID{byte(a)}, talk, []byte(text)})
		}
	}
	return samples, append(secrets, few, talked)
}

// TestTrainKeepsWhatIsShared is the promise about privacy: by naive counting,
// every piece is in the mail of enough accounts and enough conversations, and
// of what fewer have nothing recognisable is left.
func TestTrainKeepsWhatIsShared(t *testing.T) {
	samples, secrets := site(20, 30)
	trained, err := Train(t.Context(), 17, samples, least)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range trained.Pieces {
		accounts, talks := map[rookery.AccountID]bool{}, map[string]bool{}
		for _, s := range samples {
			if bytes.Contains(Cut(s.Text), p) {
				accounts[s.Account], talks[s.Talk] = true, true
			}
		}
		if len(accounts) < least || len(talks) < least {
			t.Errorf("%q is in the mail of %d accounts and in %d conversations", p, len(accounts), len(talks))
		}
	}
	for _, secret := range secrets {
		for i := 0; i+minPiece <= len(secret); i++ {
			if part := secret[i : i+minPiece]; bytes.Contains(trained.Dictionary, []byte(part)) {
				t.Fatalf("the dictionary holds %q, which is a secret's", part)
			}
		}
	}
	if content := bytes.Join(trained.Pieces, nil); !bytes.HasSuffix(trained.Dictionary, content) {
		t.Error("the dictionary's content is not its pieces")
	}
	d, err := body.NewDictionary(trained.Dictionary)
	if err != nil || d.ID() != 17 {
		t.Fatalf("%v: %v", d, err)
	}
	var none, with int
	for _, s := range samples {
		none, with = none+(*body.Dictionary)(nil).Packed(s.Text), with+d.Packed(s.Text)
	}
	if with > none*4/5 {
		t.Errorf("the mail takes %d bytes with the dictionary and %d without", with, none)
	}
	if trained.Samples != 600 || trained.Accounts != 20 || trained.Talks != 20*29+1 {
		t.Errorf("trained on %d, %d, %d", trained.Samples, trained.Accounts, trained.Talks)
	}
}

func TestTrainRefuses(t *testing.T) {
	samples, _ := site(20, 30)
	one, _ := site(least-1, 100)
	var noise []Sample
	for i := range 300 {
		b := make([]byte, 600)
		for k := range b {
			b[k] = byte(rand.Uint32())
		}
		noise = append(noise, Sample{rookery.AccountID{byte(i % 30)}, fmt.Sprint(i), b})
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name    string
		ctx     context.Context
		samples []Sample
		least   int
		kind    rookery.Kind
	}{
		{"few messages", t.Context(), samples[:MinSamples-1], least, rookery.KindConflict},
		{"few accounts", t.Context(), one, least, rookery.KindConflict},
		{"nothing shared", t.Context(), noise, least, rookery.KindConflict},
		{"no privacy", t.Context(), samples, 1, rookery.KindInvalid},
	} {
		if _, err := Train(c.ctx, 17, c.samples, c.least); !rookery.Is(err, c.kind) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := Train(ended, 17, samples, least); !errors.Is(err, context.Canceled) {
		t.Errorf("a training that was ended: %v", err)
	}
}

// TestSharedStaysInSamples does not count what reaches from one message into
// the next.
func TestSharedStaysInSamples(t *testing.T) {
	var samples []Sample
	for i := range 10 {
		samples = append(samples, Sample{rookery.AccountID{byte(i)}, fmt.Sprint(i), []byte("begins like this, ends like that")})
	}
	x := newText(samples)
	if !x.shared([]byte("like this, ends"), least) {
		t.Error("what all have is not shared")
	}
	if x.shared([]byte("like thatbegins"), least) {
		t.Error("what no message has is shared")
	}
	if n := x.sharedPrefix([]byte("ends like that and more"), least); n != len("ends like that") {
		t.Errorf("the shared prefix has %d bytes", n)
	}
}

// TestBounded keeps large sites within bounds.
func TestBounded(t *testing.T) {
	text := make([]byte, 2*MaxSample)
	samples := make([]Sample, 3*MaxSamples)
	for i := range samples {
		samples[i] = Sample{Account: rookery.AccountID{byte(i % 251)}, Text: text}
	}
	got, size := bounded(samples), 0
	for _, s := range got {
		size += len(Cut(s.Text))
	}
	if len(got) > MaxSamples || size > MaxText || size < MaxText/3 {
		t.Errorf("%d samples of %d bytes", len(got), size)
	}
}
