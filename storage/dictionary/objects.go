package dictionary

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"

	"rookery"
	"rookery/storage/blob"
	"rookery/storage/command"
)

// Packs need their dictionaries, so a sealed copy of each lies beside them in
// the object store, for the case that the cluster's state is lost:
//
//	"RKDICT1\n" | id u32 | the sealed dictionary
//
// under d/ID/HASH.zd: one sealed anew gets a name of its own.
const (
	objectMagic = "RKDICT1\n"
	objectHead  = len(objectMagic) + 4
	prefix      = "d/"
)

// Object is a copy in the object store.
type Object struct {
	ID  rookery.DictionaryID
	Key string
}

func objectKey(id rookery.DictionaryID, sealed []byte) string {
	sum := sha256.Sum256(sealed)
	return prefix + strconv.FormatUint(uint64(id), 10) + "/" + hex.EncodeToString(sum[:8]) + ".zd"
}

// Copy puts a sealed dictionary beside the packs and reads it back.
func Copy(ctx context.Context, s blob.Store, id rookery.DictionaryID, sealed []byte) (Object, error) {
	o := Object{id, objectKey(id, sealed)}
	b := binary.BigEndian.AppendUint32([]byte(objectMagic), uint32(id))
	b = append(b, sealed...)
	if err := s.Put(ctx, o.Key, bytes.NewReader(b), int64(len(b)), blob.PutOptions{}); err != nil {
		return o, err
	}
	back, err := Sealed(ctx, s, o)
	if err == nil && !bytes.Equal(back, sealed) {
		err = rookery.E("copy dictionary", rookery.KindUnavailable, fmt.Errorf("object %s does not read back as it was put", o.Key))
	}
	return o, err
}

// Has reports whether the copy of a sealed dictionary is among objects.
func Has(objects []Object, id rookery.DictionaryID, sealed []byte) bool {
	key := objectKey(id, sealed)
	for _, o := range objects {
		if o.Key == key {
			return true
		}
	}
	return false
}

// Objects lists the copies in the object store, in no order.
func Objects(ctx context.Context, s blob.Store) (all []Object, err error) {
	err = s.List(ctx, prefix, func(i blob.Info) error {
		parts := strings.Split(i.Key, "/")
		if len(parts) != 3 || !strings.HasSuffix(parts[2], ".zd") {
			return nil
		}
		id, err := strconv.ParseUint(parts[1], 10, 32)
		if err != nil || rookery.DictionaryID(id) < rookery.FirstSiteDictionary {
			return nil // not ours
		}
		all = append(all, Object{rookery.DictionaryID(id), i.Key})
		return nil
	})
	return all, err
}

// Sealed reads a copy. KindDamaged if it is none.
func Sealed(ctx context.Context, s blob.Store, o Object) ([]byte, error) {
	const most = int64(objectHead + command.MaxSealedDictionary)
	r, err := s.Get(ctx, o.Key, 0, -1)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > most || len(b) < objectHead || string(b[:len(objectMagic)]) != objectMagic ||
		rookery.DictionaryID(binary.BigEndian.Uint32(b[len(objectMagic):])) != o.ID {
		return nil, rookery.E("read dictionary", rookery.KindDamaged, fmt.Errorf("object %s is no copy of dictionary %d", o.Key, o.ID))
	}
	return b[objectHead:], nil
}
