module github.com/mindscope/mindscope/examples

go 1.26.7

require github.com/mindscope/mindscope/sdk v0.0.0

replace github.com/mindscope/mindscope/sdk => ../sdk
