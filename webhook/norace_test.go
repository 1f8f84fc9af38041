//go:build !race

package webhook

// raceDetector says that memory is several times what it would be.
const raceDetector = false
