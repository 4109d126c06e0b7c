package dsn

// vietnamese are the phrases in Vietnamese.
var vietnamese = language{
	intro:     "Đây là hệ thống thư điện tử tại {host}. Dưới đây là thông báo về một thư mà bạn đã gửi:",
	subject:   "Tiêu đề:",
	sent:      "Tiếp nhận lúc:",
	messageID: "Message-ID:",
	heads: [actionEnd]string{
		Failed:  "KHÔNG GỬI ĐƯỢC, và hệ thống sẽ không thử gửi lại nữa. Thư không gửi được đến:",
		Delayed: "BỊ CHẬM, và hệ thống vẫn đang tiếp tục thử gửi lại. Thư chưa gửi được đến:",
		Delivered: "ĐÃ ĐẾN NƠI; điều này không có nghĩa là người nhận đã đọc thư. " +
			"Thư đã được lưu vào hộp thư của:",
		Relayed: "ĐÃ CHUYỂN TIẾP. Máy chủ kế tiếp không gửi xác nhận, vì vậy có thể bạn sẽ không nhận được thêm thông báo nào. " +
			"Máy chủ đó đã nhận thư cho:",
		Expanded: "ĐÃ GỬI ĐẾN DANH SÁCH; bạn sẽ không nhận được thông báo về từng thành viên. " +
			"Thư đã được chuyển đến các thành viên của:",
	},
	original:    "(địa chỉ bạn đã ghi: {address})",
	answered:    "Máy chủ {host} đã trả lời:",
	someHost:    "thư bên nhận",
	reason:      "Lý do:",
	took:        "Máy chủ {host} đã nhận thư.",
	connection:  "Kết nối:",
	lastAttempt: "Lần thử gần nhất:",
	toDo:        "Bạn nên làm gì:",
	wait: "Bạn không cần làm gì. Hệ thống sẽ tiếp tục thử gửi cho đến {time}; xin đừng gửi lại thư này. " +
		"Nếu cuối cùng vẫn không gửi được, bạn sẽ nhận được thông báo.",
	waitOpen: "Bạn không cần làm gì. Hệ thống vẫn tiếp tục thử gửi; xin đừng gửi lại thư này. " +
		"Nếu cuối cùng vẫn không gửi được, bạn sẽ nhận được thông báo.",
	advice: [topicEnd]string{
		topicOther: "Nội dung ở trên cho biết nguyên nhân. Nếu vẫn chưa rõ, hãy liên hệ với người nhận bằng cách khác.",
		topicAddress: "Địa chỉ này không tồn tại ở máy chủ nhận. Hãy kiểm tra xem địa chỉ có viết sai không rồi gửi lại, " +
			"hoặc liên hệ với người nhận bằng cách khác.",
		topicDomain: "Tên miền đứng sau dấu @ không tồn tại hoặc không nhận thư. Hãy kiểm tra xem tên miền có viết sai không.",
		topicInactive: "Hộp thư của người nhận có tồn tại nhưng hiện không được sử dụng. " +
			"Hãy liên hệ với người nhận bằng cách khác.",
		topicFull: "Hộp thư của người nhận đã đầy. Hãy báo cho người nhận biết bằng cách khác, rồi gửi lại thư sau.",
		topicLarge: "Thư lớn hơn mức mà máy chủ của người nhận cho phép. " +
			"Hãy gửi lại với tệp đính kèm nhỏ hơn, hoặc chia sẻ tệp bằng đường liên kết.",
		topicUnreachable: "Không kết nối được với máy chủ thư của người nhận, hoặc máy chủ đó không trả lời kịp thời. " +
			"Hãy gửi lại thư sau; nếu vẫn không được, hãy liên hệ với người nhận bằng cách khác.",
		topicPolicy: "Máy chủ của người nhận từ chối thư này theo quy định riêng của họ; nội dung ở trên cho biết lý do. " +
			"Người nhận hoặc người quản trị máy chủ đó có thể thay đổi điều này.",
		topicContent: "Máy chủ của người nhận không nhận được nội dung trong thư này. " +
			"Hãy gửi lại dưới dạng khác, ví dụ văn bản thuần.",
		topicTLS: "Tên miền của người nhận hoặc người quản trị của bạn yêu cầu kết nối được bảo vệ (mã hóa) đến máy chủ của " +
			"người nhận, nhưng không thiết lập được kết nối đó, vì vậy thư đã không được gửi. Hãy báo cho người quản trị và " +
			"gửi lại thư sau.",
	},
	help: "Nếu cần trợ giúp, hãy chuyển tiếp toàn bộ thư này đến <{address}>. Các phần bên dưới là báo cáo dành cho " +
		"chương trình và phần thư của bạn được gửi trả lại.",
	time: "15:04 -0700, 02/01/2006",
}
