package app

import (
	"math"

	"golang.org/x/sys/unix"
)

// observeDisk adds the figures of the disk that the data folder is on; what can't be read is absent (NaN).
func (a *App) observeDisk() {
	if a.cfg.Memory {
		return
	}
	read := func(figure func(unix.Statfs_t) uint64) func() float64 {
		return func() float64 {
			var st unix.Statfs_t
			if err := unix.Statfs(a.cfg.Data, &st); err != nil {
				return math.NaN()
			}
			return float64(figure(st)) * float64(st.Bsize)
		}
	}
	a.metrics.Gauge("mindscope_disk_free_bytes", "Bytes that are free on the disk of the data folder.", read(func(st unix.Statfs_t) uint64 { return st.Bavail }))
	a.metrics.Gauge("mindscope_disk_size_bytes", "Size of the disk of the data folder.", read(func(st unix.Statfs_t) uint64 { return st.Blocks }))
}
