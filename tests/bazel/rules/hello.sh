#!/bin/sh
echo "Hello from $0."
