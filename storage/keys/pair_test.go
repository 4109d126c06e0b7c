package keys

import (
	"bytes"
	"testing"

	"rookery"
)

func TestAPairOpensWhatIsSealedToIt(t *testing.T) {
	public, private, err := NewPair()
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := NewPair()
	if err != nil {
		t.Fatal(err)
	}
	secret := []byte("the tenant key and the rest")
	sealed, err := SealTo(public, secret)
	if err != nil || bytes.Contains(sealed, secret) {
		t.Fatalf("sealed: %x, %v", sealed, err)
	}
	if got, err := OpenWith(private, sealed); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("opened: %q, %v", got, err)
	}
	if _, err := OpenWith(other, sealed); !rookery.Is(err, rookery.KindDamaged) {
		t.Errorf("with another's private half: %v", err)
	}
	for i := range sealed {
		x := bytes.Clone(sealed)
		x[i] ^= 1
		if _, err := OpenWith(private, x); !rookery.Is(err, rookery.KindDamaged) {
			t.Fatalf("with byte %d changed: %v", i, err)
		}
	}
	for _, b := range [][]byte{nil, {1}, secret} {
		if _, err := OpenWith(private, b); !rookery.Is(err, rookery.KindDamaged) {
			t.Errorf("%q: %v", b, err)
		}
		if _, err := SealTo(b, secret); !rookery.Is(err, rookery.KindInvalid) {
			t.Errorf("sealed to %q: %v", b, err)
		}
		if _, err := OpenWith(b, sealed); !rookery.Is(err, rookery.KindInvalid) {
			t.Errorf("opened with %q: %v", b, err)
		}
	}
}
