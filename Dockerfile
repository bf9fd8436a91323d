# One small image: a drop-in SageMaker container whose PATH has `serve` and `train`.
#
#   cargo build --release --package server --package trainer && docker build -t clary .
#
# The programs are built outside, so BASE's C library has to be at least as new as the builder's. The result is FROM
# scratch: the programs, the libraries they are linked to, and the certificates for S3. No shell, no package manager.
#
# XGBoost's library is not in it (it is larger than the rest): `train` finds it under /opt/clary/native/xgboost, where it
# can be mounted, or copied by two lines of one's own: FROM clary, COPY xgboost /opt/clary/native/xgboost
# (`make native` puts that folder into ~/.cache/clary).
#
# `make image` builds it, runs it read-only and checks it.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS base
RUN [ -f /etc/ssl/certs/ca-certificates.crt ] || \
    { apt-get update && apt-get install -y --no-install-recommends ca-certificates; }
# The loader and the libraries at their own paths, /tmp to unpack artifacts in, and the words the platform appends to
# `docker run IMAGE`. libstdc++ and the last three are XGBoost's.
RUN mkdir -p /image/etc/ssl/certs /image/tmp /image/opt/ml /image/usr/local/bin && \
    chmod 1777 /image/tmp && \
    cp -L /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ && \
    for path in /lib64/ld-linux-*.so.* /lib/ld-linux-*.so.*; do \
        [ ! -e "$path" ] || { mkdir -p "/image$(dirname "$path")" && cp -L "$path" "/image$path"; }; \
    done && \
    for name in libc.so.6 libm.so.6 libgcc_s.so.1 libstdc++.so.6 libdl.so.2 librt.so.1 libpthread.so.0; do \
        path=$(ls -d /lib/*-linux-gnu/"$name" /usr/lib/*-linux-gnu/"$name" 2>/dev/null | head -n 1) && \
        folder=$(echo "$path" | sed 's#^/usr##; s#/[^/]*$##') && \
        mkdir -p "/image$folder" && cp -L "$path" "/image$folder/" || exit 1; \
    done && \
    ln -s clary /image/usr/local/bin/serve && ln -s clary-train /image/usr/local/bin/train && \
    echo 'root:x:0:0:root:/:/' > /image/etc/passwd && echo 'root:x:0:' > /image/etc/group

FROM scratch
COPY --from=base /image /
COPY target/release/clary target/release/clary-train /usr/local/bin/
ENV PATH=/usr/local/bin
LABEL com.amazonaws.sagemaker.capabilities.multi-models=true \
      com.amazonaws.sagemaker.capabilities.accept-bind-to-port=true
EXPOSE 8080
CMD ["serve"]
