package upgrade

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/zstd"
)

// An archive holds manifest.json and, below data, the data directory.
const (
	manifestName = "manifest.json"
	dataName     = "data"
)

// writeArchive keeps a data directory and its manifest. Pre-written space is
// zeros and takes next to nothing.
func writeArchive(path, dir string, manifest []byte) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	z, err := zstd.NewWriter(f, zstd.WithEncoderLevel(zstd.SpeedBestCompression))
	if err != nil {
		return err
	}
	w := tar.NewWriter(z)
	if err := addFile(w, manifestName, bytes.NewReader(manifest), int64(len(manifest))); err != nil {
		return err
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		switch name := filepath.ToSlash(filepath.Join(dataName, rel)); {
		case d.IsDir():
			return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o700, ModTime: time.Unix(0, 0)})
		case !d.Type().IsRegular() || rel == "dev.json": // sockets, and where the run listened
			return nil
		default:
			return addPath(w, name, path)
		}
	})
	return errors.Join(err, w.Close(), z.Close())
}

func addPath(w *tar.Writer, name, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	return addFile(w, name, f, st.Size())
}

func addFile(w *tar.Writer, name string, r io.Reader, size int64) error {
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: time.Unix(0, 0)}); err != nil {
		return err
	}
	_, err := io.Copy(w, r)
	return err
}

// readArchive unpacks the data directory into dir and gives the manifest.
func readArchive(path, dir string) (manifest []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		switch {
		case err == io.EOF && manifest == nil:
			return nil, fmt.Errorf("%s holds no %s", path, manifestName)
		case err == io.EOF:
			return manifest, nil
		case err != nil:
			return nil, err
		case !filepath.IsLocal(h.Name):
			return nil, fmt.Errorf("%s: %q leads out of it", path, h.Name)
		case h.Name == manifestName:
			manifest, err = io.ReadAll(r)
		case h.Typeflag == tar.TypeDir:
			err = os.MkdirAll(filepath.Join(dir, h.Name), 0o700)
		default:
			err = writeSparse(filepath.Join(dir, h.Name), r, h.Size)
		}
		if err != nil {
			return nil, err
		}
	}
}

// writeSparse leaves holes where there are zeros: a log of some hundred
// megabytes is mostly pre-written.
func writeSparse(path string, r io.Reader, size int64) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Truncate(size); err != nil {
		return err
	}
	var block, zeros [64 << 10]byte
	for at := int64(0); at < size; {
		n, err := io.ReadFull(r, block[:min(size-at, int64(len(block)))])
		if err != nil {
			return err
		}
		if !bytes.Equal(block[:n], zeros[:n]) {
			if _, err := f.WriteAt(block[:n], at); err != nil {
				return err
			}
		}
		at += int64(n)
	}
	return nil
}
