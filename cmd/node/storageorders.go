package node

import "net/http"

// storageOrders adds what rookery storage asks a node for, a line an order;
// long ones answer through stream.
func (n *Node) storageOrders(t *routes) {
	t.changesWhen("delete", "POST /v1/storage/sweep", "storage sweep", func(w http.ResponseWriter, r *http.Request) { stream(w, r, n.objects.Sweep) })
	n.holdOrders(t)
	t.changesWhen("repair", "POST /v1/storage/check", "storage check", func(w http.ResponseWriter, r *http.Request) { stream(w, r, n.upkeep.Check) })
	t.changesWhen("repair", "POST /v1/storage/rebuild-index", "storage rebuild-index", func(w http.ResponseWriter, r *http.Request) { stream(w, r, n.upkeep.RebuildIndex) })
}
