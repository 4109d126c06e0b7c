package export

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/sys/unix"

	"rookery"
)

var formats = []Format{Mbox, Maildir, Zip}

// fullDisk takes so many bytes and no more.
type fullDisk struct{ left int }

func (d *fullDisk) open(path string, flag int) (io.WriteCloser, error) {
	f, err := openFile(path, flag)
	return &fullFile{f, d}, err
}

type fullFile struct {
	io.WriteCloser
	disk *fullDisk
}

func (f *fullFile) Write(p []byte) (int, error) {
	n := min(len(p), f.disk.left)
	f.disk.left -= n
	n, err := f.WriteCloser.Write(p[:n])
	if err == nil && n < len(p) {
		err = &os.PathError{Op: "write", Path: "x", Err: unix.ENOSPC}
	}
	return n, err
}

// However early or late the disk is full, the export says so and leaves nothing.
func TestFullDisk(t *testing.T) {
	for _, format := range formats {
		for room, ended := 0, false; !ended; room += 20000 {
			dir := t.TempDir()
			err := func() error {
				w, err := create(format, filepath.Join(dir, "out"), (&fullDisk{room}).open)
				if err != nil {
					return err
				}
				defer w.Discard()
				for _, s := range samples() {
					s.text += noise(3000)
					s.Size = int64(len(s.text))
					if err := w.Add(t.Context(), s.Message, strings.NewReader(s.text)); err != nil {
						if again := w.Add(t.Context(), s.Message, strings.NewReader(s.text)); again == nil {
							t.Errorf("%s: an export goes on after %v", format, err)
						}
						if w.Commit() == nil {
							t.Errorf("%s: an export is committed after %v", format, err)
						}
						return err
					}
				}
				return w.Commit()
			}()
			left, _ := os.ReadDir(dir)
			if ended = err == nil; ended {
				if room == 0 || len(left) != 1 {
					t.Errorf("%s: %d bytes are enough, and leave %v", format, room, left)
				}
				break
			}
			if !rookery.Is(err, rookery.KindUnavailable) || !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "the disk is full") {
				t.Fatalf("%s, %d bytes: %v", format, room, err)
			}
			if len(left) > 0 {
				t.Errorf("%s, %d bytes: left behind: %v", format, room, left)
			}
		}
	}
}

// noise does not compress well.
func noise(n int) string {
	b, x := make([]byte, n), uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x>>24)&0x3f + '0'
	}
	return string(b)
}

// What is there already is never written over.
func TestTargetIsTaken(t *testing.T) {
	for _, format := range formats {
		dir := t.TempDir()
		full, file, empty := filepath.Join(dir, "full"), filepath.Join(dir, "file"), filepath.Join(dir, "empty")
		if err := errors.Join(os.MkdirAll(filepath.Join(full, "x"), 0o700), os.Mkdir(empty, 0o700),
			os.WriteFile(file, []byte("mine"), 0o600)); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{full, file} {
			if _, err := Create(format, path); !rookery.Is(err, rookery.KindExists) {
				t.Errorf("%s to %s: %v", format, path, err)
			}
		}
		w, err := Create(format, empty)
		if format == Zip {
			if !rookery.Is(err, rookery.KindExists) {
				t.Errorf("a zip over a directory: %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		defer w.Discard()
		if err := os.WriteFile(filepath.Join(empty, "late"), []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(); err == nil {
			t.Errorf("%s: written over what came meanwhile", format)
		}
		if b, err := os.ReadFile(filepath.Join(empty, "late")); err != nil || string(b) != "mine" {
			t.Errorf("%s: %q %v", format, b, err)
		}
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "out.zip")
	w, err := Create(Zip, path)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Discard()
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); !rookery.Is(err, rookery.KindExists) {
		t.Errorf("a zip over what came meanwhile: %v", err)
	}
	if _, err := Create("pst", path); !rookery.Is(err, rookery.KindInvalid) {
		t.Error(err)
	}
	if _, err := Create(Zip, filepath.Join(dir, "no", "out.zip")); err == nil {
		t.Error("a zip in a directory that is not there")
	}
}

// A message that is not what its record says is never exported as if it were.
func TestMessageIsNotWhole(t *testing.T) {
	broken := errors.New("the pack is away")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, format := range formats {
		for name, c := range map[string]struct {
			ctx  context.Context
			in   io.Reader
			want func(error) bool
		}{
			"short":     {t.Context(), strings.NewReader("Subject"), func(err error) bool { return rookery.Is(err, rookery.KindDamaged) }},
			"long":      {t.Context(), strings.NewReader("Subject: xxx"), func(err error) bool { return rookery.Is(err, rookery.KindDamaged) }},
			"broken":    {t.Context(), iotest.ErrReader(broken), func(err error) bool { return errors.Is(err, broken) }},
			"cancelled": {ended, strings.NewReader("Subject: x"), func(err error) bool { return errors.Is(err, context.Canceled) }},
		} {
			dir := t.TempDir()
			w, err := Create(format, filepath.Join(dir, "out"))
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Add(c.ctx, Message{Mailbox: "INBOX", Size: 10}, c.in); !c.want(err) {
				t.Errorf("%s, %s: %v", format, name, err)
			}
			if w.Commit() == nil {
				t.Errorf("%s, %s: it is committed", format, name)
			}
			w.Discard()
			if left, _ := os.ReadDir(dir); len(left) > 0 {
				t.Errorf("%s, %s: left behind: %v", format, name, left)
			}
		}
	}
}

// A date that no form can say does not keep an account from being exported.
func TestImpossibleDate(t *testing.T) {
	for _, format := range formats {
		w, err := Create(format, filepath.Join(t.TempDir(), "out"))
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []time.Time{{}, time.Date(9999, 12, 31, 23, 0, 0, 0, time.FixedZone("", -12*3600)), time.Unix(-1<<60, 0)} {
			if err := w.Add(t.Context(), Message{Mailbox: "INBOX", Date: at}, strings.NewReader("")); err != nil {
				t.Errorf("%s, %v: %v", format, at, err)
			}
		}
		if err := w.Commit(); err != nil {
			t.Errorf("%s: %v", format, err)
		}
		if w.Commit() == nil {
			t.Errorf("%s: committed twice", format)
		}
		w.Discard()
	}
}
