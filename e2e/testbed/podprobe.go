package testbed

import (
	"context"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// probe asks as often as the probe says, and tells when as many answers in a row as it says are alike.
func (p *Pod) probe(ctx context.Context, probe *corev1.Probe, tell func(passes bool)) {
	if probe == nil || probe.HTTPGet == nil {
		return
	}
	client := &http.Client{
		Timeout:   time.Duration(max(probe.TimeoutSeconds, 1)) * time.Second,
		Transport: &http.Transport{DisableKeepAlives: true},
	}
	url := fmt.Sprintf("http://%s%s", p.Address(probe.HTTPGet.Port.String()), probe.HTTPGet.Path)
	period := time.Duration(max(probe.PeriodSeconds, 1)) * time.Second
	next := time.After(time.Duration(probe.InitialDelaySeconds) * time.Second)
	var passed, failed int32
	for {
		select {
		case <-ctx.Done():
			return
		case <-next:
		}
		next = time.After(period)
		if !p.running.Load() {
			passed, failed = 0, 0
			next = time.After(statusRetry) // A kubelet asks first when the container has started.
			continue
		}
		if answers(ctx, client, url) {
			passed, failed = passed+1, 0
		} else {
			passed, failed = 0, failed+1
		}
		switch {
		case passed >= max(probe.SuccessThreshold, 1):
			tell(true)
		case failed >= max(probe.FailureThreshold, 1):
			tell(false)
		}
	}
}

func answers(ctx context.Context, client *http.Client, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return false
	}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode >= 200 && response.StatusCode < 400
}
