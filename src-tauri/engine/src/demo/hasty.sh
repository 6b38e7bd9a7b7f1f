echo "brief: $(cat)"
i=1
while [ "$i" -le 12 ]; do
  echo "line $i" | tee -a lines.txt
  sleep 0.5
  i=$((i + 1))
done
echo "all done"
