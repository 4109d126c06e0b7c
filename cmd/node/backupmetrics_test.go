package node

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rookery"
	"rookery/storage/blob"
)

// unwritten is a backup store that takes nothing for a while.
type unwritten struct {
	blob.Store
	shut *atomic.Bool
}

func (u unwritten) Put(ctx context.Context, key string, r io.Reader, n int64, o blob.PutOptions) error {
	if u.shut.Load() {
		return rookery.E("put", rookery.KindUnavailable, errors.New("503"))
	}
	return u.Store.Put(ctx, key, r, n, o)
}

// TestMetricsOfABackup: a node that archives tells how old what waits is, and counts what
// it does.
func TestMetricsOfABackup(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	var shut atomic.Bool
	var ahead atomic.Int64
	cfg := func(d *Deps) {
		d.tuning.backup = func(s blob.Store) blob.Store { return unwritten{s, &shut} }
		d.Clock = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	}
	b := openBackupNodeAt(t, address, cfg)
	group, err := b.accounts.Group(t.Context(), b.id)
	if err != nil {
		t.Fatal(err)
	}
	label := `{group="` + strconv.Itoa(int(group)) + `"}`
	var all scraped
	b.await("the archive is measured", func() (bool, error) {
		all, _ = scrapeFrom(t, address)
		_, found := all["rookery_backup_oldest_timestamp_seconds"+label]
		return found, nil
	})
	now := float64(time.Now().Unix())
	if lag, age, from := all["rookery_backup_lag_seconds"+label], all["rookery_backup_image_age_seconds"+label],
		all["rookery_backup_oldest_timestamp_seconds"+label]; lag > 30 || age <= 0 || age > 300 || from < now-300 || from > now {
		t.Errorf("lag %v, image %v, oldest %v (now %v)", lag, age, from, now)
	}
	written, puts := all["rookery_backup_written_bytes_total"], all[`rookery_backup_requests_total{request="put"}`]
	if written <= 0 || puts <= 0 || all[`rookery_backup_requests_total{request="list"}`] <= 0 || all["rookery_backup_failures_total"] != 0 {
		t.Errorf("%v bytes, %v puts, %v failures", written, puts, all["rookery_backup_failures_total"])
	}

	shut.Store(true)
	sendOne(t, b.Node, login(0), "Subject: waits\r\n\r\nhi\r\n")
	ahead.Store(int64(6 * time.Minute))
	b.await("an alarm", func() (bool, error) {
		all, _ = scrapeFrom(t, address)
		told := strings.Join(b.monitor.Status().Problems, "\n")
		return all["rookery_backup_lag_seconds"+label] > 300 && all["rookery_backup_failures_total"] > 0 &&
			strings.Contains(told, "alarm: the archive of group "+strconv.Itoa(int(group))), nil
	})
	shut.Store(false)
	b.await("all is well", func() (bool, error) {
		all, _ = scrapeFrom(t, address)
		return all["rookery_backup_lag_seconds"+label] == 0 && all["rookery_backup_written_bytes_total"] > written, nil
	})
}
