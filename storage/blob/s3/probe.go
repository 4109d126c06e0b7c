package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/minio/minio-go/v7"

	"rookery"
	"rookery/storage/blob"
)

// Abilities are what an endpoint can do beyond what Rookery needs.
type Abilities struct {
	ConditionalPut bool // If-None-Match:* lets exactly one of many writers win
	MultiDelete    bool // DeleteObjects works
	Versioning     bool // the bucket keeps old versions
	ObjectLock     bool // the bucket can make objects undeletable
	Multipart      bool // large objects can be uploaded in parts
	Notes          []string
}

const probeRacers = 16

// Probe tries the store with objects of its own under probe/, removes them, and
// tells what the endpoint can do. The error says why the store cannot be used.
func (s *Store) Probe(ctx context.Context) (Abilities, error) {
	var a Abilities
	dir := "probe/" + strings.ToLower(rand.Text())
	var keys []string
	defer func() { s.Delete(context.WithoutCancel(ctx), keys...) }()
	for i := range 3 {
		keys = append(keys, fmt.Sprintf("%s/%d", dir, i))
	}
	if err := s.probeBasics(ctx, dir, keys); err != nil {
		return a, err
	}
	a.MultiDelete = !s.singleDeletes.Load()
	if !a.MultiDelete {
		a.Notes = append(a.Notes, "DeleteObjects is refused: deletes go one by one")
	}
	race := dir + "/race"
	keys = append(keys, race)
	var note string
	if a.ConditionalPut, note = s.probeRace(ctx, race); note != "" {
		a.Notes = append(a.Notes, note)
	}
	parts := dir + "/parts"
	keys = append(keys, parts)
	if err := s.probeMultipart(ctx, parts); err == nil {
		a.Multipart = true
	} else {
		a.Notes = append(a.Notes, "multipart upload: "+err.Error())
	}
	if v, err := s.core.GetBucketVersioning(ctx, s.cfg.Bucket); err != nil {
		a.Notes = append(a.Notes, "versioning: "+fail("probe", s.cfg.Bucket, 0, 1, err).Error())
	} else {
		a.Versioning = v.Enabled()
	}
	if lock, _, _, _, err := s.core.GetObjectLockConfig(ctx, s.cfg.Bucket); err == nil {
		a.ObjectLock = lock == "Enabled"
	}
	return a, ctx.Err()
}

// probeBasics does what the product does all day: put, ranged get, list,
// delete, and a read of what is gone.
func (s *Store) probeBasics(ctx context.Context, dir string, keys []string) error {
	const op = "probe object store"
	data := make([]byte, 100_000)
	rand.Read(data)
	for _, k := range keys {
		if err := s.Put(ctx, k, bytes.NewReader(data), int64(len(data)), blob.PutOptions{}); err != nil {
			return err
		}
	}
	r, err := s.Get(ctx, keys[0], 1000, 50_000)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(r)
	r.Close()
	if err != nil {
		return err
	}
	if !bytes.Equal(got, data[1000:51_000]) {
		return rookery.E(op, rookery.KindDamaged, errors.New("a range came back with other bytes than were put"))
	}
	seen := 0
	if err := s.List(ctx, dir+"/", func(blob.Info) error { seen++; return nil }); err != nil {
		return err
	}
	if seen != len(keys) {
		return rookery.E(op, rookery.KindUnavailable, fmt.Errorf(
			"a listing shows %d of %d objects just put: the store must be strongly consistent", seen, len(keys)))
	}
	if err := s.Delete(ctx, keys...); err != nil {
		return err
	}
	if _, err := s.Stat(ctx, keys[0]); !rookery.Is(err, rookery.KindNotFound) {
		return rookery.E(op, rookery.KindUnavailable, fmt.Errorf("a deleted object is still there (%v)", err))
	}
	return nil
}

// probeRace lets writers race for one name: some servers ignore the header,
// others check it without a lock.
func (s *Store) probeRace(ctx context.Context, key string) (bool, string) {
	var mu sync.Mutex
	var won, lost int
	var failed error
	var wg sync.WaitGroup
	for i := range probeRacers {
		wg.Go(func() {
			err := s.Put(ctx, key, bytes.NewReader([]byte{byte(i)}), 1, blob.PutOptions{IfAbsent: true})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won++
			case rookery.Is(err, rookery.KindExists):
				lost++
			default:
				failed = err
			}
		})
	}
	wg.Wait()
	if failed != nil {
		return false, "conditional PUT: " + failed.Error()
	}
	if won != 1 {
		return false, fmt.Sprintf("conditional PUT is not safe here: %d of %d writers won one name", won, probeRacers)
	}
	return true, ""
}

// probeMultipart uploads an object in one part, reads a range of it, and ends
// another upload half way.
func (s *Store) probeMultipart(ctx context.Context, key string) error {
	const op = "probe multipart upload"
	data := make([]byte, 100_000)
	rand.Read(data)
	begin := func() (string, error) {
		id, err := s.core.NewMultipartUpload(ctx, s.cfg.Bucket, s.name(key), minio.PutObjectOptions{})
		if err != nil {
			return "", fail(op, key, 0, 1, err)
		}
		return id, nil
	}
	id, err := begin()
	if err != nil {
		return err
	}
	part, err := s.core.PutObjectPart(ctx, s.cfg.Bucket, s.name(key), id, 1, bytes.NewReader(data), int64(len(data)),
		minio.PutObjectPartOptions{})
	if err == nil {
		_, err = s.core.CompleteMultipartUpload(ctx, s.cfg.Bucket, s.name(key), id,
			[]minio.CompletePart{{PartNumber: 1, ETag: part.ETag}}, minio.PutObjectOptions{})
	}
	if err != nil {
		s.core.AbortMultipartUpload(context.WithoutCancel(ctx), s.cfg.Bucket, s.name(key), id)
		return fail(op, key, 0, 1, err)
	}
	r, err := s.Get(ctx, key, 500, 1000)
	if err != nil {
		return err
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data[500:1500]) {
		return rookery.E(op, rookery.KindDamaged, fmt.Errorf("it came back with other bytes than were uploaded (%v)", err))
	}
	if id, err = begin(); err != nil {
		return err
	}
	if err := s.core.AbortMultipartUpload(ctx, s.cfg.Bucket, s.name(key), id); err != nil {
		return fail(op, key, 0, 1, err)
	}
	return nil
}

// String names what the endpoint can do and what it cannot.
func (a Abilities) String() string {
	var can, cannot []string
	for _, x := range []struct {
		what string
		can  bool
	}{
		{"multipart upload", a.Multipart}, {"DeleteObjects", a.MultiDelete}, {"conditional PUT", a.ConditionalPut},
		{"versioning", a.Versioning}, {"object lock", a.ObjectLock},
	} {
		if x.can {
			can = append(can, x.what)
		} else {
			cannot = append(cannot, x.what)
		}
	}
	text := "can: " + strings.Join(append([]string{"ranges"}, can...), ", ")
	if len(cannot) > 0 {
		text += "; cannot: " + strings.Join(cannot, ", ")
	}
	return text
}
