package main

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// logLevels are the levels of --log-level. Debug is logr's V(4), at which
// client-go explains what it does.
var logLevels = map[string]slog.Level{
	"debug": slog.LevelDebug,
	"info":  slog.LevelInfo,
	"error": slog.LevelError,
}

// newLogger returns the one logger of the process, through which controller-runtime
// and client-go log, too.
func newLogger(w io.Writer, format, level string) *slog.Logger {
	options := &slog.HandlerOptions{Level: logLevels[level], ReplaceAttr: plainAttr}
	var handler slog.Handler = slog.NewJSONHandler(w, options)
	if format == "text" {
		handler = slog.NewTextHandler(w, options)
	}
	logger := logr.FromSlogHandler(handler)
	log.SetLogger(logger)
	klog.SetLogger(logger)
	return slog.New(handler)
}

// plainAttr writes levels by name: logr's V(1) is "DEBUG" and not slog's "INFO-1".
func plainAttr(groups []string, attr slog.Attr) slog.Attr {
	if len(groups) > 0 || attr.Key != slog.LevelKey {
		return attr
	}
	level, ok := attr.Value.Any().(slog.Level)
	if ok && level < slog.LevelInfo {
		return slog.String(slog.LevelKey, fmt.Sprint(slog.LevelDebug))
	}
	return attr
}
