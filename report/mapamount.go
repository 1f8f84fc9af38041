package report

import (
	"fmt"
	"strconv"
)

// cores writes CPU as people do: 50m, 1.5, 12.
func (a Amount) cores() string {
	if a.CPU < 1000 {
		return strconv.FormatInt(a.CPU, 10) + "m"
	}
	return short(float64(a.CPU) / 1000)
}

// bytes writes memory as people do: 64Mi, 1.5Gi.
func (a Amount) bytes() string {
	const step = 1024
	value, units := float64(a.Memory), []string{"", "Ki", "Mi", "Gi", "Ti", "Pi"}
	unit := 0
	for value >= step && unit < len(units)-1 {
		value /= step
		unit++
	}
	return short(value) + units[unit]
}

// short has one decimal where that says something.
func short(value float64) string {
	text := strconv.FormatFloat(value, 'f', 1, 64)
	if value >= 100 || text[len(text)-1] == '0' {
		return strconv.FormatFloat(value, 'f', 0, 64)
	}
	return text
}

// share is a percentage; empty where nobody knows of what.
func share(part, whole int64) string {
	if whole <= 0 {
		return ""
	}
	return fmt.Sprintf("%.1f%%", 100*float64(part)/float64(whole))
}
